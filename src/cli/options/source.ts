/**
 * Root filesystems and images that options name: the text becomes a value here and travels as one. What names none is
 * refused in its own words, which say what it was and what would do.
 */
import { SealError } from "../../errors.ts";
import { type ImageSource, isImage, parseImageOrDirectory, parseRootfsSource } from "../../io/rootfs-source.ts";

/** What an image is made of, for `--from`. */
export const sealSource = (text: string): ReturnType<typeof parseImageOrDirectory> =>
  parseImageOrDirectory(text, "--from");

/** An image, for options that name one. @param option what the text was given with */
export const imageSource =
  (option: string) =>
  (text: string): ImageSource =>
    parseImage(text, option);

/**
 * The image that an option names. The option is a text: what a check of it says has the option's name in front,
 * and this names both.
 * @throws SealError `usage` for everything else
 */
export function parseImage(text: string, option: string): ImageSource {
  const source = parseRootfsSource(text);
  if (isImage(source)) return source;
  throw new SealError("usage", `${option} ${text}: give an image, as oci:PATH[:TAG]`);
}
