import { OWNER_FIX, ownerMessage, soleOwner } from "../file-owners.ts";
import { checked, type Rule } from "../rule.ts";

export const fileOwnersRule: Rule = {
  id: "file-owners",
  severity: "warning",
  finds: "a tree in which everything belongs to one user who is not root",
  applies: "any",
  check: ({ rootfs }) => {
    const uid = soleOwner(rootfs.root);
    if (uid === null) return checked();
    const message = ownerMessage(uid);
    return checked({
      path: ".",
      message: `${message.charAt(0).toUpperCase()}${message.slice(1)}.`,
      fix: `${OWNER_FIX}.`,
    });
  },
};
