/** How registries are spoken to. */
import { z } from "zod";
import { type GroupValues, optionGroup } from "./group.ts";
import { either, path, value } from "./option.ts";

/** Arguments of a process can be read by everybody on a machine. */
const NO_SECRETS =
  "a password among arguments can be seen by everybody on this machine. Log in with skopeo login --authfile FILE HOST, and give --authfile FILE";

export const registryOptions = optionGroup("Registries", {
  authfile: path({
    risk: "names a file that may name programs to be run for logins",
    help: "file with logins, as skopeo login writes it (also REGISTRY_AUTH_FILE)",
    shownDefault: "that of skopeo and podman",
  }),
  tlsVerify: either({
    risk: (raw) => (raw === false ? "lets any registry answer, whatever its certificate" : null),
    help: "demand HTTPS and a certificate that this machine trusts",
    no: "take any certificate, and plain HTTP; --tls-verify=false is the same",
    shownDefault: "yes, but for what registries.conf says",
  }),
  creds: value(() => z.string().refine(() => false, NO_SECRETS), {
    help: "not taken",
    hidden: true,
    aliases: ["--src-creds", "--dest-creds"],
  }),
});

export type RegistryOptions = Pick<GroupValues<typeof registryOptions>, "authfile" | "tlsVerify">;
