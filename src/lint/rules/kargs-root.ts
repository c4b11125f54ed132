import { allArguments } from "../cmdlines.ts";
import { quote } from "../files.ts";
import { checked, type Rule } from "../rule.ts";

const FIGHTING = new Set(["root", "rootflags", "init"]);

export const kargsRootRule: Rule = {
  id: "kargs-root",
  severity: "warning",
  finds: "root=, rootflags= or init= that conflicts with the composefs root",
  applies: "any",
  check: async (context) =>
    checked(
      ...(await allArguments(context))
        .filter(({ name, value }) => FIGHTING.has(name) && value !== null)
        .map(({ path, text, name }) => ({
          path,
          message:
            name === "init"
              ? `${quote(text)} starts a program other than the init of the sealed root.`
              : `${quote(text)} selects a disk or partition, not the composefs root: it works on one kind of machine only, or mounts something else.`,
          fix: "remove it; the root is found by its partition type, and composefs= says what is mounted.",
        })),
    ),
};
