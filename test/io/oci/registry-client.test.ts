/** How a registry is asked, against one that does as the test says. */
import { execFileSync } from "node:child_process";
import { chmodSync, copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { RegistryClient } from "../../../src/io/oci/registry-client.ts";
import type { SkopeoOptions } from "../../../src/io/oci/skopeo.ts";
import { tempDir } from "../../support/temp.ts";

interface Asked {
  readonly method: string;
  readonly url: string;
  readonly authorization: string;
  readonly body: string;
}

type Answer = (asked: Asked, response: ServerResponse) => void;

/** A server on the loopback interface until the test ends. */
async function serve(answer: Answer): Promise<{ readonly host: string; readonly asked: Asked[] }> {
  const asked: Asked[] = [];
  const server = createServer(async (request: IncomingMessage, response) => {
    const body = (await request.toArray()).join("");
    const { method = "", url = "", headers } = request;
    const one = { method, url, authorization: headers.authorization ?? "", body };
    asked.push(one);
    answer(one, response);
  });
  return { host: await listen(server), asked };
}

/** @returns `127.0.0.1:PORT` */
async function listen(server: Server): Promise<string> {
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** @param file with logins */
function client(host: string, file: unknown = {}, options: Partial<SkopeoOptions> = {}): RegistryClient {
  const cwd = tempDir();
  writeFileSync(join(cwd, "auth.json"), JSON.stringify(file));
  return new RegistryClient(`${host}/my/os`, {
    cwd,
    env: {},
    access: { authfile: "auth.json", tlsVerify: false },
    ...options,
  });
}

const TYPE = "application/vnd.oci.image.index.v1+json";
const base64 = (text: string) => Buffer.from(text).toString("base64");

function text(response: ServerResponse, status: number, body: string, headers: Record<string, string> = {}): void {
  response.writeHead(status, { "content-type": `${TYPE}; charset=utf-8`, ...headers }).end(body);
}

it("asks over plain HTTP where that is allowed only, and gives the answer as it is", async () => {
  const { host, asked } = await serve((_, response) => text(response, 404, "nothing"));
  expect(await client(host).get("manifests/1", TYPE)).toEqual({
    status: 404,
    mediaType: TYPE,
    body: Buffer.from("nothing"),
    next: null,
  });
  expect(asked.map(({ method, url }) => [method, url])).toEqual([["GET", "/v2/my/os/manifests/1"]]);
  for (const tlsVerify of [true, undefined]) {
    const access = { authfile: "auth.json", tlsVerify };
    await expect(client(host, {}, { access }).get("manifests/1", TYPE)).rejects.toThrow(
      /^docker:\/\/127\.0\.0\.1:\d+\/my\/os: can't list what refers to an image: tls: it does not speak HTTPS\. If that is intended, give --tls-verify=false$/,
    );
  }
  expect(asked).toHaveLength(1);
  await expect(client("127.0.0.1:9").get("manifests/1", TYPE)).rejects.toThrow(/: connect ECONNREFUSED/);
});

it("goes by registries.conf where no option says how", async () => {
  const { host } = await serve((_, response) => text(response, 200, "{}"));
  const cwd = tempDir();
  const entry = (insecure: boolean) => `[[registry]]\nlocation = "${host}"\ninsecure = ${insecure}\n`;
  const ask = (env: Record<string, string>, tlsVerify?: boolean) =>
    client(host, {}, { cwd, env, access: { tlsVerify } }).get("manifests/1", TYPE);
  writeFileSync(join(cwd, "yes.conf"), entry(true));
  writeFileSync(join(cwd, "no.conf"), entry(false));
  expect((await ask({ CONTAINERS_REGISTRIES_CONF: "yes.conf" })).status).toBe(200);
  for (const env of [{ CONTAINERS_REGISTRIES_CONF: "no.conf" }, { CONTAINERS_REGISTRIES_CONF: "none" }, {}]) {
    await expect(ask(env)).rejects.toThrow(/does not speak HTTPS/);
  }
  await expect(ask({ CONTAINERS_REGISTRIES_CONF: "yes.conf" }, true)).rejects.toThrow(/does not speak HTTPS/);
  const drop = join(cwd, ".config/containers/registries.conf.d");
  mkdirSync(drop, { recursive: true });
  writeFileSync(join(drop, "../registries.conf"), entry(false));
  await expect(ask({ HOME: cwd })).rejects.toThrow(/does not speak HTTPS/);
  writeFileSync(join(drop, "own.conf"), entry(true));
  expect((await ask({ HOME: cwd })).status).toBe(200);
});

it("trusts the certificates that container tools have for a registry, and without them nobody's own", async () => {
  const home = tempDir();
  const [cert, key] = [join(home, "tls.crt"), join(home, "tls.key")];
  const subject = ["-subj", "/CN=registry", "-addext", "subjectAltName=IP:127.0.0.1"];
  const made = [
    "req",
    "-x509",
    "-newkey",
    "rsa:2048",
    "-nodes",
    "-days",
    "2",
    ...subject,
    "-keyout",
    key,
    "-out",
    cert,
  ];
  execFileSync("openssl", made, { stdio: "ignore" });
  const server = createTlsServer({ cert: readFileSync(cert), key: readFileSync(key) }, (_, response) =>
    text(response, 200, "{}"),
  );
  const host = await listen(server);
  const ask = (tlsVerify?: boolean) =>
    client(host, {}, { env: { HOME: home }, access: { tlsVerify } }).get("manifests/1", TYPE);
  expect((await ask(false)).status).toBe(200);
  for (const tlsVerify of [true, undefined]) {
    await expect(ask(tlsVerify)).rejects.toThrow(
      /: tls: .*self-signed.*\. If that is intended, give --tls-verify=false$/,
    );
  }
  const place = join(home, ".config/containers/certs.d", host);
  mkdirSync(place, { recursive: true });
  copyFileSync(cert, join(place, "ca.crt"));
  for (const tlsVerify of [true, undefined]) expect((await ask(tlsVerify)).status).toBe(200);
});

it("logs in with a password, once", async () => {
  const { host, asked } = await serve(({ authorization }, response) =>
    authorization === `Basic ${base64("me:p:w")}`
      ? text(response, 200, "{}")
      : text(response, 401, "", { "www-authenticate": 'Basic realm="x"' }),
  );
  const one = client(host, { auths: { [host]: { auth: base64("me:p:w") } } });
  for (const path of ["manifests/1", "manifests/2"]) expect((await one.get(path, TYPE)).status).toBe(200);
  expect(asked).toHaveLength(3);
  for (const file of [{}, { auths: { [host]: { auth: base64("me:wrong") } } }]) {
    await expect(client(host, file).get("manifests/1", TYPE)).rejects.toThrow(
      /: denied \(status: 401\)\. .*skopeo login HOST logs in; --authfile names a credentials file$/,
    );
  }
});

it.each<[string, (host: string) => unknown, Partial<Asked>]>([
  ["nobody", () => ({}), { method: "GET", authorization: "" }],
  [
    "a password",
    (host) => ({ auths: { [`${host}/my`]: { auth: base64("me:pw") } } }),
    { method: "GET", authorization: `Basic ${base64("me:pw")}` },
  ],
  [
    "an identity token",
    (host) => ({ auths: { [host]: { auth: "", identitytoken: "refresh" } } }),
    { method: "POST", authorization: "" },
  ],
])("gets a token for %s", async (_, file, expected) => {
  const tokens = await serve((_asked, response) => text(response, 200, '{"token":"T"}'));
  const { host } = await serve(({ authorization }, response) =>
    authorization === "Bearer T"
      ? text(response, 200, "{}")
      : text(response, 401, "", { "www-authenticate": `Bearer realm="http://${tokens.host}/token?a=1",service="S"` }),
  );
  expect((await client(host, file(host)).get("referrers/x", TYPE)).status).toBe(200);
  const [asked] = tokens.asked;
  expect(asked).toMatchObject(expected);
  const fields = new URLSearchParams(asked?.method === "POST" ? asked.body : asked?.url.split("?")[1]);
  expect(fields.get("service")).toBe("S");
  expect(fields.get("scope")).toBe("repository:my/os:pull");
  expect(fields.get("refresh_token")).toBe(asked?.method === "POST" ? "refresh" : null);
});

it("asks a credential helper, and goes on without a login where that knows none", async () => {
  const { host, asked } = await serve(({ authorization }, response) =>
    text(response, authorization === "" ? 401 : 200, "", { "www-authenticate": "Basic" }),
  );
  const bin = tempDir();
  const helper = (script: string) => {
    writeFileSync(join(bin, "docker-credential-test"), `#!/bin/sh\n${script}\n`);
    chmodSync(join(bin, "docker-credential-test"), 0o755);
  };
  const env = { PATH: `${bin}:${process.env["PATH"]}` };
  const ask = () => client(host, { credHelpers: { [host]: "test" } }, { env }).get("manifests/1", TYPE);
  helper(`[ "$1" = get ] && echo "{\\"Username\\":\\"$(cat)\\",\\"Secret\\":\\"pw\\"}"`);
  expect((await ask()).status).toBe(200);
  expect(asked.at(-1)?.authorization).toBe(`Basic ${base64(`${host}:pw`)}`);
  helper("echo credentials not found in native keychain; exit 1");
  await expect(ask()).rejects.toThrow(/denied \(status: 401\)/);
  await expect(
    client(host, { credHelpers: { [host]: "../../bin/sh" } }, { env }).get("manifests/1", TYPE),
  ).rejects.toThrow(/denied/);
});

it("finds logins where container tools keep them", async () => {
  const { host } = await serve(({ authorization }, response) =>
    text(response, 200, authorization, { "www-authenticate": "Basic" }),
  );
  const { host: closed } = await serve(({ authorization }, response) =>
    text(response, authorization === "" ? 401 : 200, authorization, { "www-authenticate": "Basic" }),
  );
  const home = tempDir();
  const write = (path: string, name: string) => {
    mkdirSync(join(home, path, ".."), { recursive: true });
    writeFileSync(join(home, path), JSON.stringify({ auths: { [closed]: { auth: base64(`${name}:`) } } }));
  };
  const env = { HOME: home, XDG_RUNTIME_DIR: join(home, "run") };
  const login = async () => {
    const answer = await client(closed, {}, { env, access: { tlsVerify: false } }).get("manifests/1", TYPE);
    return Buffer.from(answer.body.toString().slice(6), "base64").toString();
  };
  // From the last place that is looked at to the first one.
  for (const path of [
    ".docker/config.json",
    ".config/containers/auth.json",
    "run/containers/auth.json",
    "named.json",
  ]) {
    write(path, path);
    if (path === "named.json") Object.assign(env, { REGISTRY_AUTH_FILE: join(home, path) });
    expect(await login()).toBe(`${path}:`);
  }
  // Nobody gets a login that did not ask for it.
  expect((await client(host, {}, { env }).get("manifests/1", TYPE)).body.toString()).toBe("");
});

it("follows redirects, and takes the login nowhere else", async () => {
  const other = await serve(({ authorization }, response) => text(response, 200, `<${authorization}>`));
  const { host } = await serve(({ url, authorization }, response) => {
    if (authorization === "") return text(response, 401, "", { "www-authenticate": "Basic" });
    if (url.endsWith("/own")) return text(response, 307, "", { location: "there" });
    if (url.endsWith("/there")) return text(response, 200, `<${authorization}>`);
    if (url.endsWith("/round")) return text(response, 302, "", { location: url });
    return text(response, 307, "", { location: url.endsWith("/odd") ? "ftp://x/" : `http://${other.host}/` });
  });
  const one = client(host, { auths: { [host]: { auth: base64("me:pw") } } });
  const get = async (path: string) => (await one.get(path, TYPE)).body.toString();
  expect(await get("manifests/own")).toBe(`<Basic ${base64("me:pw")}>`);
  expect(await get("manifests/away")).toBe("<>");
  await expect(get("manifests/round")).rejects.toThrow(/it redirects to \/v2\/my\/os\/manifests\/round$/);
  await expect(get("manifests/odd")).rejects.toThrow(/it redirects to ftp:\/\/x\/$/);
});

it("says which page is next, of the same registry", async () => {
  const links: readonly (readonly [string, (host: string) => string, string | null])[] = [
    ["relative", () => '</v2/my/os/referrers/x?n=2>; rel="next"', "/v2/my/os/referrers/x?n=2"],
    ["absolute", (host) => `<http://${host}/next>; rel=next`, "/next"],
    ["elsewhere", () => '<http://other.example/next>; rel="next"', null],
    ["other", () => '</first>; rel="first"', null],
  ];
  let link = "";
  const { host } = await serve((_, response) => text(response, 200, "{}", { link }));
  for (const [, header, expected] of links) {
    link = header(host);
    expect((await client(host).get("referrers/x", TYPE)).next).toBe(expected);
  }
});

it("says in one line what a registry does that is of no use", async () => {
  const cases: readonly (readonly [Answer, RegExp])[] = [
    [
      (_, response) => text(response, 403, ""),
      /: denied \(status: 403\)\. You are not logged in there, or not allowed to do that/,
    ],
    [(_, response) => text(response, 503, ""), /: it is not available now \(status: 503\)$/],
    [(_, response) => text(response, 429, ""), /: it is not available now \(status: 429\)$/],
    [
      (_, response) => text(response, 401, ""),
      /: it requires an authentication scheme that seal does not support \(\)$/,
    ],
    [
      (_, response) => text(response, 401, "", { "www-authenticate": 'Bearer realm="file:///etc/shadow"' }),
      /: its token service is not a safe address: "file:\/\/\/etc\/shadow"$/,
    ],
    [
      ({ url }, response) =>
        url.startsWith("/token")
          ? text(response, 200, "no JSON")
          : text(response, 401, "", { "www-authenticate": `Bearer realm="http://${response.req.headers.host}/token"` }),
      /issued no token: denied \(status: 200\)\. You are not logged in there/,
    ],
    [(_, response) => text(response, 200, "x".repeat((4 << 20) + 1)), /: the answer has more than 4194304 bytes$/],
    [(_, response) => void response.destroy(), /: socket hang up$/],
  ];
  for (const [answer, message] of cases) {
    const { host } = await serve(answer);
    await expect(client(host).get("manifests/1", TYPE)).rejects.toThrow(message);
  }
});
