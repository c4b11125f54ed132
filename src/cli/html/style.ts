/**
 * How pages look: on wide and narrow screens, light and dark, on paper. Contrast of text is 4.5 to 1 or more in
 * both (WCAG 2.2, 1.4.3).
 */
export const STYLE = `
:root { color-scheme: light dark; --ground: #fff; --card: #f5f6f8; --line: #c9ced6; --text: #16191d; --dim: #545b66; --link: #0b57b0;
  --good: #116b34; --bad: #b3261e; --open: #7a5200; --bar: #3f6fb5; --bar2: #7d8aa0; }
@media (prefers-color-scheme: dark) { :root { --ground: #14171b; --card: #1d2127; --line: #3b434e; --text: #e8ebef; --dim: #a3acb8; --link: #8ab8ff;
  --good: #6fd08c; --bad: #ff9a90; --open: #f0c36d; --bar: #6d9be0; --bar2: #67748a; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--text); font: 16px/1.5 system-ui, sans-serif; }
header, main, footer { max-width: 76rem; margin: 0 auto; padding: 0 1.25rem; }
header { padding-top: 1.5rem; }
h1 { font-size: 1.5rem; margin: 0 0 .25rem; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.25rem 0 .75rem; border-bottom: 1px solid var(--line); padding-bottom: .25rem; }
h3 { font-size: 1.05rem; margin: 1.5rem 0 .5rem; overflow-wrap: anywhere; }
h4, .chain h3, .finding h3 { font-size: 1rem; margin: 0; overflow-wrap: anywhere; }
.part { border-top: 3px solid var(--line); margin-top: 2.5rem; } .part > h2 { border: 0; margin-top: 1rem; }
p { margin: .4rem 0; max-width: 52rem; overflow-wrap: anywhere; }
a { color: var(--link); }
.skip { position: absolute; left: -999rem; }
.skip:focus { left: 1rem; top: .5rem; background: var(--ground); padding: .25rem .5rem; }
nav ul { display: flex; flex-wrap: wrap; gap: .25rem 1rem; padding: 0; list-style: none; }
code, pre { font: .875em/1.45 ui-monospace, monospace; overflow-wrap: anywhere; }
pre { background: var(--card); padding: .75rem; overflow-x: auto; white-space: pre-wrap; }
.verdict { font-weight: 600; }
.said { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.sign { position: relative; font-weight: 700; white-space: nowrap; }
.good { color: var(--good); } .bad { color: var(--bad); } .open { color: var(--open); }
.dim { color: var(--dim); }
.wide { overflow-x: auto; position: relative; }
.wide:focus-visible, summary:focus-visible, a:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
table { border-collapse: collapse; width: 100%; font-size: .9375rem; }
th, td { text-align: left; vertical-align: top; padding: .35rem .75rem .35rem 0; border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
thead th { color: var(--dim); font-weight: 600; white-space: nowrap; }
tbody th { font-weight: 600; min-width: 7rem; }
td:has(ul), td:has(.hash) { min-width: 14rem; }
td ul { margin: 0; padding-left: 1rem; }
dl { margin: .5rem 0; }
dl div { display: grid; grid-template-columns: 11rem 1fr; gap: .25rem 1rem; padding: .15rem 0; }
dt { color: var(--dim); } dd { margin: 0; overflow-wrap: anywhere; }
ol.chain { list-style: none; padding: 0; display: grid; gap: 1.6rem; grid-template-columns: repeat(auto-fit, minmax(13rem, 1fr)); }
ol.chain > li { background: var(--card); border: 1px solid var(--line); border-left: 4px solid currentColor; border-radius: .4rem; padding: .75rem; position: relative; }
ol.chain > li > * { color: var(--text); }
ol.chain > li > p > .sign { color: inherit; }
ol.chain p.good { color: var(--good); } ol.chain p.bad { color: var(--bad); } ol.chain p.open { color: var(--open); }
ol.chain > li:not(:last-child)::after { content: "→"; position: absolute; right: -1.3rem; top: 40%; color: var(--dim); }
.map { display: flex; height: 2.25rem; border: 1px solid var(--line); border-radius: .3rem; overflow: hidden; margin: .5rem 0 1rem; }
.map span { background: var(--bar); border-right: 1px solid var(--ground); min-width: 2px; }
.map span:nth-child(even) { background: var(--bar2); }
.meter { display: block; height: .6rem; min-width: 6rem; background: var(--card); border: 1px solid var(--line); }
.meter i { display: block; height: 100%; background: var(--bar); }
.finding { border-left: 4px solid currentColor; background: var(--card); border-radius: .3rem; padding: .6rem .9rem; margin: .75rem 0; }
.finding > * { color: var(--text); }
details { margin: .25rem 0; }
details details, details .leaf { margin-left: 1.25rem; }
summary { cursor: pointer; }
.leaf { padding: .1rem 0; overflow-wrap: anywhere; }
.time { display: grid; grid-template-columns: 9rem 1fr 4.5rem; gap: .35rem .75rem; align-items: center; padding: 0; list-style: none; }
.time li { display: contents; }
.time .track { background: var(--card); border: 1px solid var(--line); height: .9rem; border-radius: .2rem; }
.time .track i { display: block; height: 100%; background: var(--bar); border-radius: .2rem; }
.time .seconds { text-align: right; font-variant-numeric: tabular-nums; }
footer { color: var(--dim); padding-top: 2rem; padding-bottom: 2rem; font-size: .875rem; }
@media (max-width: 44rem) { ol.chain { grid-template-columns: 1fr; } ol.chain > li:not(:last-child)::after { content: "↓"; right: 50%; top: auto; bottom: -1.6rem; }
  dl div { grid-template-columns: 1fr; gap: 0; } .time { grid-template-columns: 6.5rem 1fr 4rem; } }
@media print { :root { color-scheme: light; --ground: #fff; --card: #fff; --text: #000; --dim: #444; --line: #999; --good: #063; --bad: #900; --open: #640; }
  body { font-size: 10pt; } nav, .skip { display: none; } details > :not(summary) { display: block; } h2 { break-after: avoid; } .finding, tr, ol.chain > li { break-inside: avoid; }
  .map span, .meter i, .time .track i { print-color-adjust: exact; } .wide { overflow: visible; } }
`;
