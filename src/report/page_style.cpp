#include "report/page.hpp"

namespace snug::report {

/// Colours are variables, set for a light and a dark page; print is light. Shades q0 to q8 of the heat map
/// run from few bits to many.
const char* const kStyle = R"css(
:root { color-scheme: light dark;
  --page: #ffffff; --ink: #1c2430; --soft: #5b6675; --rule: #dde3ea; --grid: #eef1f5; --panel: #f6f8fa;
  --curve: #2f6fb5; --chosen: #c8501e; --preset: #6b7685; --good: #2f6fb51c;
  --sure: #2f6fb5; --fair: #9cc0e6; --assumed: #d3d9e0; --copied: #e9ecf0;
  --q0: #fff1bd; --q1: #fbd977; --q2: #d6cf5e; --q3: #9fc665; --q4: #63b77d; --q5: #35a090; --q6: #2b7f97;
  --q7: #2c5c92; --q8: #2b3a78; --on-pale: #1c2430; --on-deep: #ffffff; --turn: var(--on-pale); }
@media (prefers-color-scheme: dark) { :root {
  --page: #14181d; --ink: #e4e8ed; --soft: #9aa5b2; --rule: #333b45; --grid: #232931; --panel: #1c2127;
  --curve: #7db3ec; --chosen: #f08a52; --preset: #97a2b0; --good: #7db3ec1f;
  --sure: #5e9bdb; --fair: #35597f; --assumed: #4a525c; --copied: #2a3038;
  --q0: #3a2758; --q1: #3c3c7c; --q2: #315490; --q3: #286c97; --q4: #22828f; --q5: #369f7f; --q6: #74ba69;
  --q7: #b8d05a; --q8: #f6e27a; --on-pale: #e4e8ed; --on-deep: #10151b; --turn: var(--on-deep); } }
@media print { :root { color-scheme: light; --page: #ffffff; --ink: #000000; --soft: #444444; --rule: #cccccc;
  --grid: #eeeeee; --panel: #ffffff; --curve: #2f6fb5; --chosen: #c8501e; --preset: #6b7685; --good: #2f6fb51c;
  --sure: #2f6fb5; --fair: #9cc0e6; --assumed: #d3d9e0; --copied: #e9ecf0;
  --q0: #fff1bd; --q1: #fbd977; --q2: #d6cf5e; --q3: #9fc665; --q4: #63b77d; --q5: #35a090; --q6: #2b7f97;
  --q7: #2c5c92; --q8: #2b3a78; --on-pale: #1c2430; --on-deep: #ffffff; --turn: var(--on-pale); }
  * { print-color-adjust: exact; } }

* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, "Segoe UI", Roboto,
  "Helvetica Neue", Arial, sans-serif; font-variant-numeric: tabular-nums; -webkit-text-size-adjust: 100%; }
main { max-width: 1048px; margin: 0 auto; padding: 32px 24px 48px; }
h1 { font-size: 26px; line-height: 1.2; margin: 0; overflow-wrap: anywhere; font-weight: 650; }
h2 { font-size: 19px; margin: 0 0 2px; font-weight: 650; }
p { margin: 0 0 10px; max-width: 46em; } p.lead { color: var(--soft); margin-bottom: 14px; }
section { margin-top: 44px; } small, .soft { color: var(--soft); }
code { font: 13px ui-monospace, "SF Mono", Menlo, Consolas, monospace; overflow-wrap: anywhere; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px; margin: 20px 0 0; }
.tile { background: var(--panel); border: 1px solid var(--rule); border-radius: 8px; padding: 10px 14px; }
.tile span { display: block; color: var(--soft); font-size: 13px; } .tile b { font-size: 21px; font-weight: 650; }
.tile small { display: block; font-size: 12.5px; }
.notice { border-left: 3px solid var(--chosen); padding: 4px 12px; margin: 14px 0; }

figure { margin: 0; } figure svg { display: block; max-width: 100%; height: auto; margin: 0 auto; }
.phone { display: none; } .scroll { overflow-x: auto; }
svg text { font-size: 12px; fill: var(--ink); } svg .tick { fill: var(--soft); font-size: 11.5px; }
svg .name { fill: var(--soft); } svg .label { font-weight: 650; font-size: 13px; fill: var(--chosen); }
svg .preset-label { fill: var(--soft); font-size: 11.5px; } svg .row-label { font-size: 12.5px; }
svg .axis { stroke: var(--soft); } svg .faint { stroke: var(--rule); } svg .grid { stroke: var(--grid); }
svg .grid.strong { stroke: var(--rule); } svg .curve { fill: none; stroke: var(--curve); stroke-width: 2.25;
  stroke-linejoin: round; }
svg .band { fill: transparent; } svg .dot { fill: var(--curve); opacity: 0; } svg .point:hover .dot { opacity: 1; }
svg .preset circle { fill: var(--page); stroke: var(--preset); stroke-width: 1.6; }
svg .preset:hover circle { fill: var(--preset); }
svg .chosen circle { fill: var(--chosen); stroke: var(--page); stroke-width: 1.5; }
svg .ran line { stroke: var(--chosen); stroke-width: 1.6; }
svg .ran circle { fill: var(--page); stroke: var(--chosen); stroke-width: 2; }
svg .good { fill: var(--good); } svg .equal { stroke: var(--soft); stroke-dasharray: 5 4; fill: none; }
svg .measured circle { fill: var(--curve); stroke: var(--page); } svg .measured line { stroke: var(--curve); }
svg .cell text { font-size: 11px; } svg .cell:hover rect { stroke: var(--ink); stroke-width: 1.5; }
svg .copied rect { fill: var(--copied); } svg .copied text { fill: var(--soft); }
.q0 rect { fill: var(--q0); } .q1 rect { fill: var(--q1); } .q2 rect { fill: var(--q2); }
.q3 rect { fill: var(--q3); } .q4 rect { fill: var(--q4); } .q5 rect { fill: var(--q5); }
.q6 rect { fill: var(--q6); } .q7 rect { fill: var(--q7); } .q8 rect { fill: var(--q8); }
svg .q0 text, svg .q1 text, svg .q2 text, svg .q3 text, svg .q4 text { fill: var(--on-pale); }
svg .q5 text { fill: var(--turn); } svg .q6 text, svg .q7 text, svg .q8 text { fill: var(--on-deep); }

.legend { color: var(--soft); font-size: 13px; margin: 10px 0 0; max-width: none; }
.legend span { white-space: nowrap; margin-right: 12px; }
.swatch { display: inline-block; width: 12px; height: 12px; border-radius: 2px; margin-right: 5px;
  vertical-align: -1px; border: 1px solid var(--rule); }
i.q0 { background: var(--q0); } i.q1 { background: var(--q1); } i.q2 { background: var(--q2); }
i.q3 { background: var(--q3); } i.q4 { background: var(--q4); } i.q5 { background: var(--q5); }
i.q6 { background: var(--q6); } i.q7 { background: var(--q7); } i.q8 { background: var(--q8); }
i.copied { background: var(--copied); } i.sure { background: var(--sure); } i.fair { background: var(--fair); }
i.assumed { background: var(--assumed); }
.key { display: inline-block; width: 10px; height: 10px; border-radius: 5px; margin-right: 6px; }
.key.line { height: 3px; width: 18px; border-radius: 2px; vertical-align: 3px; background: var(--curve); }
.probe { background: var(--curve); } .prior { background: var(--page); border: 2px solid var(--preset); }
.key.chosen { background: var(--chosen); } .key.ran { background: var(--page); border: 2px solid var(--chosen); }

table { border-collapse: collapse; width: 100%; font-size: 14px; }
th { text-align: left; font-weight: 600; color: var(--soft); font-size: 13px; }
th, td { padding: 4px 10px 4px 0; border-bottom: 1px solid var(--rule); vertical-align: middle; }
.number { text-align: right; white-space: nowrap; } td.tensor { overflow-wrap: anywhere; unicode-bidi: isolate; }
.plot { width: 24%; min-width: 64px; padding-left: 8px; }
.track { position: relative; height: 14px; background: linear-gradient(var(--rule), var(--rule)) center / 100% 1px
  no-repeat; }
.track i { position: absolute; top: 6px; height: 3px; background: var(--fair); }
.track b { position: absolute; top: 2px; width: 10px; height: 10px; margin-left: -5px; border-radius: 5px; }
.bar i { display: block; height: 10px; min-width: 1px; background: var(--curve); border-radius: 0 2px 2px 0; }
.stack { display: flex; height: 22px; border-radius: 4px; overflow: hidden; gap: 1px; } .stack i { min-width: 2px; }
.facts { display: grid; grid-template-columns: max-content 1fr; gap: 4px 20px; margin: 16px 0 0; }
.facts dt { color: var(--soft); } .facts dd { margin: 0; overflow-wrap: anywhere; }
details { margin-top: 12px; } summary { cursor: pointer; color: var(--soft); font-size: 14px; }
details .scroll { max-height: 420px; overflow: auto; margin-top: 8px; }
footer { margin-top: 48px; border-top: 1px solid var(--rule); padding-top: 14px; font-size: 13px; }
#tip { position: fixed; z-index: 1; max-width: 320px; padding: 6px 10px; border-radius: 6px; font-size: 13px;
  white-space: pre-line; pointer-events: none; background: var(--ink); color: var(--page); overflow-wrap: anywhere; }
#tip[hidden] { display: none; }

@media (max-width: 719px) {
  main { padding: 20px 14px 32px; } section { margin-top: 34px; } h1 { font-size: 22px; }
  .wide, .wide-only { display: none; } .phone { display: block; } .phone svg { width: 100%; max-width: 560px; }
  .tiles { grid-template-columns: 1fr 1fr; gap: 8px; }
  .tile { padding: 8px 10px; } .tile b { font-size: 18px; } table { font-size: 13px; } th, td { padding-right: 6px; } .plot { width: 20%; }
  code { font-size: 12px; white-space: nowrap; } .facts code { white-space: normal; } .facts { grid-template-columns: 1fr; gap: 0; } .facts dd { margin-bottom: 8px; } }
@media print { .wide, .wide-only { display: block; } td.wide-only, th.wide-only { display: table-cell; }
  .phone { display: none; } main { padding: 0; }
  figure, tr, .stack, .tile, dl { break-inside: avoid; } h2, .lead { break-after: avoid; } section { margin-top: 28px; }
  .scroll { overflow: visible; } details { display: none; } }
)css";

/// A tip at the pointer in place of the browser's slow one. Without scripts the <title> of each mark stays.
const char* const kScript = R"js(
"use strict";
(() => {
  const tip = document.createElement("div");
  tip.id = "tip";
  tip.hidden = true;
  document.body.append(tip);
  const place = (event) => {
    const x = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8);
    const y = event.clientY + 18 + tip.offsetHeight > innerHeight ? event.clientY - tip.offsetHeight - 10
                                                                  : event.clientY + 18;
    tip.style.left = Math.max(4, x) + "px";
    tip.style.top = Math.max(4, y) + "px";
  };
  for (const title of document.querySelectorAll("svg g > title")) {
    const mark = title.parentNode, text = title.textContent;
    mark.setAttribute("aria-label", text);
    title.remove();
    const show = (event) => { tip.textContent = text; tip.hidden = false; place(event); };
    mark.addEventListener("pointerenter", show);
    mark.addEventListener("pointermove", place);
    mark.addEventListener("pointerleave", () => { tip.hidden = true; });
  }
})();
)js";

}  // namespace snug::report
