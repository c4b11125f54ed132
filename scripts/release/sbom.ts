/**
 * What is in an executable, for those who look for packages with known faults: npm's CycloneDX document, and node,
 * which npm does not know to be in it.
 */
import { execFileSync } from "node:child_process";

interface Component {
  readonly "bom-ref": string;
  readonly name: string;
  readonly version: string;
  readonly properties?: readonly { readonly name: string; readonly value: string }[];
}

interface Dependency {
  readonly ref: string;
  readonly dependsOn: readonly string[];
}

/** What is changed of a document. */
export interface Sbom {
  readonly serialNumber?: string;
  readonly metadata: { readonly timestamp: string; readonly component: Component };
  readonly components: readonly Component[];
  readonly dependencies: readonly Dependency[];
}

/** npm's document about the packages that the lock file says, for all kinds of machines. */
export function npmSbom(project: string): Sbom {
  const args = ["sbom", "--package-lock-only", "--sbom-format=cyclonedx", "--sbom-type=application", "--omit=dev"];
  return JSON.parse(execFileSync("npm", args, { cwd: project, encoding: "utf8", maxBuffer: 64 << 20 })) as Sbom;
}

/**
 * The document about one executable: with node, without native code for other machines, and without what differs from
 * one run to the next.
 * @param native the package with the native code that is in it
 */
export function sbomOf(sbom: Sbom, { node, native, time }: { node: string; native: string; time: Date }): Sbom {
  const { serialNumber: _, ...rest } = sbom;
  const own = { ...sbom.metadata.component, name: "seal" };
  const components = sbom.components.filter(({ name }) => !name.startsWith("@koromix/koffi-") || name === native);
  const runtime = {
    "bom-ref": `node@${node}`,
    type: "application",
    name: "node",
    version: node,
    purl: `pkg:generic/node@${node}`,
    cpe: `cpe:2.3:a:nodejs:node.js:${node}:*:*:*:*:*:*:*`,
  };
  const refs = new Set([...components.map((one) => one["bom-ref"]), own["bom-ref"]]);
  const dependencies = sbom.dependencies
    .filter(({ ref }) => refs.has(ref))
    .map(({ ref, dependsOn }) => ({ ref, dependsOn: dependsOn.filter((one) => refs.has(one)) }));
  return {
    ...rest,
    metadata: { ...sbom.metadata, timestamp: time.toISOString(), component: own },
    components: [...components, runtime],
    dependencies: [
      ...dependencies.map((one) =>
        one.ref === own["bom-ref"] ? { ...one, dependsOn: [...one.dependsOn, runtime["bom-ref"]] } : one,
      ),
      { ref: runtime["bom-ref"], dependsOn: [] },
    ],
  };
}
