#!/bin/sh
# node 24.21.0 loads its own modules without the code that was made for them as soon as v8.setFlagsFromString has
# changed any flag, even one of the garbage collector, and takes it again when the flag is what it was.
#
# V8 keeps a hash of all flags that are not at their default with each piece of code that it makes, and refuses code whose
# hash is another one. node is built with the code of its modules. The documentation of v8.setFlagsFromString says
# nothing of kept code, and that of cachedData in node:vm nothing of flags. So a program that sets how new memory grows has node compile all that
# node:crypto consists of from its source when it is first used, and its own cachedData is refused.
#
# Expected: code is refused where a flag changes what code there is.   Seen: where a flag has to do with memory alone.
set -e
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
cd "$directory"
npm install --silent --no-save node@24.21.0 >/dev/null
node=$directory/node_modules/node/bin/node
echo "node version $("$node" --version)"
cat >script.cjs <<'JS'
const { Script } = require("node:vm");
const { setFlagsFromString } = require("node:v8");
const text = "(function () { return 1 })";
const cachedData = new Script(text).createCachedData();
// Under another name, so that V8 does not find the script in its memory.
let count = 0;
const isRefused = () => new Script(text, { cachedData, filename: `${count++}.js` }).cachedDataRejected;
const seen = [isRefused()];
setFlagsFromString("--semi-space-growth-factor=3");
seen.push(isRefused());
setFlagsFromString("--semi-space-growth-factor=2");
seen.push(isRefused());
console.log(`refused before, with the flag, after it: ${seen.join(", ")}`);
if (seen.join() !== "false,true,false") process.exitCode = 1;
JS
cat >modules.cjs <<'JS'
const { internalBinding } = require("internal/test/binding");
if (process.argv[2] === "set") require("node:v8").setFlagsFromString("--semi-space-growth-factor=3");
require("node:crypto");
const { compiledWithCache, compiledWithoutCache } = internalBinding("builtins").getCacheUsage();
const of = (modules) => [...modules].filter((name) => name.includes("crypto")).length > 0;
console.log(`${process.argv[2]}: with its code ${of(compiledWithCache)}, from its source ${of(compiledWithoutCache)}`);
JS
"$node" script.cjs
for flag in default set; do "$node" --expose-internals --no-warnings modules.cjs "$flag"; done >seen
cat seen
cat >expected <<'TXT'
default: with its code true, from its source false
set: with its code false, from its source true
TXT
cmp seen expected
