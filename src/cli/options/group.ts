/** Options by name, as verbs share them: taken whole, in part, or with another help text. */
import { type Described, exclusions, type Option, requirement } from "./declaration.ts";

/** Options or arguments by camel-case name: `pcrBanks` is `--pcr-banks`. */
export type Declarations = Readonly<Record<string, Option>>;

/** What a verb gets for its options and arguments. */
export type Values<D> = { readonly [Name in keyof D]: D[Name] extends Option<infer Value> ? Value : never };

/** The values of a group. */
export type GroupValues<G> = G extends OptionGroup<infer D> ? Values<D> : never;

/** The values of a verb's arguments and options. */
export type VerbValues<A, G> = Values<A> & GroupValues<G>;

/** What a verb can say otherwise of an option that it shares with others. The default stays, for the value does. */
export interface Changes extends Partial<Pick<Described, "help" | "requires" | "excludes">> {
  /** Only of an option without default, see `Optional`. */
  readonly shownDefault?: string;
  readonly heading?: string;
}

export class OptionGroup<D extends Declarations> {
  readonly declarations: D;

  constructor(declarations: D) {
    this.declarations = declarations;
  }

  /** These options and others. @throws Error when one is in both */
  and<E extends Declarations>(other: OptionGroup<E>): OptionGroup<D & E> {
    for (const name of Object.keys(other.declarations)) {
      if (Object.hasOwn(this.declarations, name)) throw new Error(`option ${name} is declared twice`);
    }
    return new OptionGroup({ ...this.declarations, ...other.declarations });
  }

  /** All but these: flag, value and key of seal.toml are gone. */
  without<Name extends keyof D & string>(...names: readonly Name[]): OptionGroup<Omit<D, Name>> {
    const kept = { ...this.declarations };
    for (const name of names) Reflect.deleteProperty(kept, name);
    return new OptionGroup<Omit<D, Name>>(kept);
  }

  /** The same options, some of them described in another way. */
  with(changes: { readonly [Name in keyof D]?: Changes }): OptionGroup<D> {
    const changed: Record<string, Option> = {};
    for (const [name, change] of Object.entries<Changes | undefined>(changes)) {
      const option = this.declarations[name];
      if (option !== undefined && change !== undefined) changed[name] = withChanges(option, change);
    }
    return new OptionGroup({ ...this.declarations, ...changed });
  }

  /** The same change to all, or to all but a few. */
  each<Name extends keyof D & string>(
    change: Changes,
    { except = [] }: { except?: readonly Name[] } = {},
  ): OptionGroup<D> {
    const kept: readonly string[] = except;
    const changed = Object.entries(this.declarations)
      .filter(([name]) => !kept.includes(name))
      .map(([name, option]) => [name, withChanges(option, change)]);
    return new OptionGroup({ ...this.declarations, ...Object.fromEntries(changed) });
  }
}

function withChanges(option: Option, { help, heading, shownDefault, requires, excludes }: Changes): Option {
  return {
    ...option,
    help: help ?? option.help,
    heading: heading ?? option.heading,
    shown: shownDefault ?? option.shown,
    requires: requires === undefined ? option.requires : requirement(requires),
    excludes: excludes === undefined ? option.excludes : new Map([...option.excludes, ...exclusions(excludes)]),
  };
}

/** Options under one heading of the help page. */
export function optionGroup<D extends Declarations>(heading: string | null, declarations: D): OptionGroup<D> {
  const group = new OptionGroup(declarations);
  return heading === null ? group : group.each({ heading });
}
