import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseLoaderEntry } from "../../src/boot/loader-entry.ts";

describe("a boot entry of type #1", () => {
  it("names what is started, and what goes with it", () => {
    const text = [
      "# made by hand",
      "title      Example 6.12",
      "linux      /example/6.12/linux",
      "initrd\t/example/6.12/initrd",
      "  initrd   \\example\\6.12\\microcode  ",
      "options    root=/dev/sda2 quiet",
      "options    debug",
      "devicetree /example/board.dtb",
    ].join("\r\n");
    expect(parseLoaderEntry(text)).toEqual({
      programs: ["/example/6.12/linux"],
      initrds: ["/example/6.12/initrd", "\\example\\6.12\\microcode"],
      devicetrees: ["/example/board.dtb"],
      hasOptions: true,
    });
  });

  it("gives no command line to a UKI, which takes none where Secure Boot is on", () => {
    expect(parseLoaderEntry("uki /EFI/Linux/a.efi\noptions quiet\n")).toMatchObject({
      programs: ["/EFI/Linux/a.efi"],
      hasOptions: false,
    });
    expect(parseLoaderEntry("efi /EFI/tool.efi\noptions -v\n")).toMatchObject({ hasOptions: true });
  });

  it("is whatever a file holds", () => {
    expect(parseLoaderEntry("\0\n\nlinux\nlinux \nLINUX /x\n")).toMatchObject({ programs: [] });
    fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => void parseLoaderEntry(text)));
  });
});
