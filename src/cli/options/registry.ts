/** How registries are spoken to. */
import { z } from "zod";
import { type GroupValues, optionGroup } from "./group.ts";
import { either, path, value } from "./option.ts";

/** Arguments of a process can be read by everybody on a machine. */
const NO_SECRETS =
  "a password on the command line is visible to every user of this machine. Log in with skopeo login --authfile FILE HOST, and give --authfile FILE";

export const registryOptions = optionGroup("Registries", {
  authfile: path({
    risk: "names a file that can name programs to run for logins",
    help: "credentials file as written by skopeo login (also REGISTRY_AUTH_FILE)",
    shownDefault: "that of skopeo and podman",
  }),
  tlsVerify: either({
    risk: (raw) => (raw === false ? "accepts any registry, whatever its certificate" : null),
    help: "require HTTPS and a trusted certificate",
    no: "accept any certificate, and plain HTTP; same as --tls-verify=false",
    shownDefault: "on, except where registries.conf says otherwise",
  }),
  creds: value(() => z.string().refine(() => false, NO_SECRETS), {
    help: "not taken",
    hidden: true,
    aliases: ["--src-creds", "--dest-creds"],
  }),
});

export type RegistryOptions = Pick<GroupValues<typeof registryOptions>, "authfile" | "tlsVerify">;
