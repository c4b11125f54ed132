#!/bin/sh
# node 24.21.0 makes other bytes of the same script's code (vm.Script, createCachedData) when functions of another script
# have been compiled in between, even under --predictable and with the same functions of the script itself compiled.
#
# V8 numbers functions for as long as a process lives, in the order in which they are first compiled, and writes these
# numbers into the code that it gives out. Both forms are accepted and work alike. So who ships kept code with a program
# and wants the same bytes from each build has to run everything in one order, in one process: whether one of node's
# threads reads a file a moment sooner, and a callback is compiled before another script's function, is enough.
#
# Expected: the code of a script depends on the script.   Seen: on what else the process has run before it was made.
set -e
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
cd "$directory"
npm install --silent --no-save node@24.21.0 >/dev/null
node=$directory/node_modules/node/bin/node
echo "node version $("$node" --version)"
cat >code.cjs <<'JS'
const { createHash } = require("node:crypto");
const { Script } = require("node:vm");
const text = "function f() { return [1, () => 2] }\nfunction g() { return 3 }\nf";
const script = new Script(text);
const other = new Script("function h() { return () => () => 4 }\nh").runInThisContext();
const f = script.runInThisContext();
if (process.argv[2] === "other-first") other()();
f();
other()();
const code = script.createCachedData();
const isRefused = new Script(text, { cachedData: code, filename: "again.js" }).cachedDataRejected;
console.log(`${createHash("sha256").update(code).digest("hex")} ${code.length} bytes, refused: ${isRefused}`);
JS
for order in own-first other-first; do
  for turn in 1 2; do "$node" --predictable code.cjs "$order" >"$order-$turn"; done
  echo "$order: $(cat "$order-1")"
  cmp "$order-1" "$order-2"
done
if cmp -s own-first-1 other-first-1; then exit 1; fi
test "$(cut -d' ' -f2- own-first-1)" = "$(cut -d' ' -f2- other-first-1)"
grep -q 'refused: false' own-first-1
