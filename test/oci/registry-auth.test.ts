import { describe, expect, it } from "vitest";
import { utf8 } from "../../src/bytes.ts";
import { findLogin, parseChallenge, parseHelperAnswer, parseLogins, parseToken } from "../../src/oci/registry-auth.ts";

const base64 = (text: string) => Buffer.from(text).toString("base64");

function logins(document: unknown) {
  return parseLogins(utf8(JSON.stringify(document)), "auth.json");
}

describe("parseChallenge", () => {
  it.each<[string, unknown]>([
    ['Basic realm="x"', { kind: "basic" }],
    ["basic", { kind: "basic" }],
    [
      'Bearer realm="https://auth.example/token",service="registry.example",scope="repository:os:pull,push"',
      {
        kind: "bearer",
        realm: "https://auth.example/token",
        parameters: { service: "registry.example", scope: "repository:os:pull,push" },
      },
    ],
    ['bearer Realm = "a\\"b", error=invalid', { kind: "bearer", realm: 'a"b', parameters: { error: "invalid" } }],
    ['Bearer service="registry.example"', null],
    ["Negotiate", null],
    ["", null],
  ])("takes %s apart", (header, expected) => {
    expect(parseChallenge(header)).toEqual(expected);
  });
});

describe("findLogin", () => {
  const password = (name: string) => ({ kind: "here", login: { kind: "password", name, password: "p:w" } });
  const entry = (name: string) => ({ auth: base64(`${name}:p:w`) });

  it("takes the entry that says most of the repository's name", () => {
    const found = logins({
      auths: { "ghcr.io": entry("all"), "ghcr.io/me": entry("mine"), "ghcr.io/me/os": entry("os"), "other.io": {} },
    });
    expect(findLogin(found, "ghcr.io/me/os")).toEqual(password("os"));
    expect(findLogin(found, "ghcr.io/me/os2")).toEqual(password("mine"));
    expect(findLogin(found, "ghcr.io/you/os")).toEqual(password("all"));
    expect(findLogin(found, "quay.io/me/os")).toBeNull();
    // An entry without a login, as docker leaves it where a helper keeps it.
    expect(findLogin(found, "other.io/os")).toBeNull();
  });

  it("knows Docker Hub by all its names, and URLs as docker writes them", () => {
    for (const key of ["https://index.docker.io/v1/", "docker.io", "index.docker.io"]) {
      expect(findLogin(logins({ auths: { [key]: entry("hub") } }), "docker.io/library/debian")).toEqual(
        password("hub"),
      );
    }
    expect(findLogin(logins({ auths: { "https://ghcr.io/v2/": entry("x") } }), "ghcr.io/os")).toEqual(password("x"));
  });

  it("asks a helper for its registry first, and the store of all last", () => {
    const helper = (name: string, server: string) => ({ kind: "helper", name, server });
    const found = logins({
      auths: { "a.io": entry("a"), "b.io": {} },
      credHelpers: { "a.io": "ecr" },
      credsStore: "pass",
    });
    expect(findLogin(found, "a.io/os")).toEqual(helper("ecr", "a.io"));
    expect(findLogin(found, "b.io/os")).toEqual(helper("pass", "b.io"));
    expect(findLogin(found, "docker.io/library/os")).toEqual(helper("pass", "https://index.docker.io/v1/"));
  });

  it("takes an identity token in place of a password, and no login without a name", () => {
    const token = { kind: "here", login: { kind: "identity", token: "t" } };
    expect(findLogin(logins({ auths: { "a.io": { ...entry("a"), identitytoken: "t" } } }), "a.io/os")).toEqual(token);
    for (const auth of ["", "!!", base64("nobody"), base64(":password")]) {
      expect(findLogin(logins({ auths: { "a.io": { auth } } }), "a.io/os")).toBeNull();
    }
    expect(findLogin(logins({ auths: { "a.io": null } }), "a.io/os")).toBeNull();
    expect(findLogin(logins({}), "a.io/os")).toBeNull();
  });

  it("refuses what is not a file with logins, and quotes none of it", () => {
    for (const text of ["", "s3cret", '{"auths": "s3cret"}', '{"auths": {"a": {"auth": 1}}}', "[]", '"\ud800"']) {
      expect(() => parseLogins(utf8(text), "auth.json")).toThrow(
        /^auth\.json: is (?:not valid JSON|not a credentials file); skopeo login --authfile FILE HOST writes (?:a credentials file|one)$/,
      );
    }
    expect(() => parseLogins(Uint8Array.of(0xff), "auth.json")).toThrow(/is not valid JSON/);
  });
});

describe("answers with secrets", () => {
  it("are read, or are none", () => {
    const answer = (text: string) => parseHelperAnswer(utf8(text));
    expect(answer('{"ServerURL":"x","Username":"me","Secret":"s"}')).toEqual({
      kind: "password",
      name: "me",
      password: "s",
    });
    expect(answer('{"Username":"<token>","Secret":"s"}')).toEqual({ kind: "identity", token: "s" });
    for (const text of ["", "credentials not found in native keychain", "{}", "null"]) expect(answer(text)).toBeNull();
    expect(parseToken(utf8('{"token":"a","access_token":"b"}'))).toBe("a");
    expect(parseToken(utf8('{"access_token":"b"}'))).toBe("b");
    for (const text of ["", "{}", '{"token":""}', '{"token":1}', "[]"]) expect(parseToken(utf8(text))).toBeNull();
  });
});
