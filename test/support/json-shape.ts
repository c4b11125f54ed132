/** What a zod schema lets through, in the notation of TypeScript, for the page that documents it. */
import { z } from "zod";

interface JsonSchema {
  readonly type?: string | readonly string[];
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly JsonSchema[];
  readonly oneOf?: readonly JsonSchema[];
  readonly items?: JsonSchema;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: JsonSchema | boolean;
}

/** The type of the JSON that a schema describes, over several lines where it does not fit into one. */
export function shapeOf(schema: z.ZodType): string {
  return typeOf(z.toJSONSchema(schema, { unrepresentable: "any", reused: "inline" }) as JsonSchema, "");
}

const WIDTH = 110;

function typeOf(schema: JsonSchema, indent: string): string {
  const options = schema.anyOf ?? schema.oneOf;
  if (options !== undefined) return options.map((one) => typeOf(one, indent)).join(" | ");
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum !== undefined) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  switch (schema.type) {
    case "array": {
      const item = typeOf(schema.items ?? {}, indent);
      return item.includes(" | ") && !item.startsWith("{") ? `(${item})[]` : `${item}[]`;
    }
    case "object":
      return objectType(schema, indent);
    case undefined:
      return "any";
    default:
      return [schema.type].flat().join(" | ").replace("integer", "number");
  }
}

function objectType({ properties, required = [], additionalProperties }: JsonSchema, indent: string): string {
  if (properties === undefined) {
    return typeof additionalProperties === "object" ? `{ [key]: ${typeOf(additionalProperties, indent)} }` : "{}";
  }
  const deeper = `${indent}  `;
  const members = Object.entries(properties).map(
    ([name, value]) => `${name}${required.includes(name) ? "" : "?"}: ${typeOf(value, deeper)}`,
  );
  const line = `{ ${members.join(", ")} }`;
  if (indent.length + line.length <= WIDTH && !line.includes("\n")) return line;
  return `{\n${members.map((member) => `${deeper}${member}\n`).join("")}${indent}}`;
}
