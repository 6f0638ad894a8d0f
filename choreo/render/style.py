"""The style sheet of a timeline's page: light and dark, on screen and on paper."""

_POINTED = 300
"""The most boxes that get rules of their own for the pointer."""


_TEXT_WIDTH = 1_240
"""The greatest width of a page without a wide picture, in pixels."""

_BESIDE = 84
"""What a page needs beside its picture: paddings and borders."""


def style(width: float, boxes: int) -> str:
    """Return the style sheet of a page whose picture has so many boxes and is so many pixels wide.

    The page is as wide as the picture where there is room. The picture shrinks with the page, so that all
    participants are in sight; in full size, it scrolls. While the pointer is on a box, all other arrows are
    faded; while it is on a line of the table, the line's box is marked.
    """
    wide = round(width)
    fit = (
        f"@media screen {{ svg.timeline {{ max-width: {wide}px; }} "
        f"#picture:target svg.timeline {{ min-width: {wide}px; }} "
        f"main {{ max-width: {max(_TEXT_WIDTH, wide + _BESIDE)}px; }} }}"
    )
    return "\n".join(
        [BASE.strip(), fit, *(_pointed(number) for number in range(1, boxes + 1)[:_POINTED]), ""]
    )


def _pointed(number: int) -> str:
    box = f'a[href="#m{number}"]'
    return (
        f"figure:has({box}:is(:hover, :focus)) .arrow:not(.m{number}) {{ opacity: .1; }} "
        f"main:has(#m{number}:hover) {box} .box {{ stroke-width: 3.2; }}"
    )


BASE = """
:root { color-scheme: light dark;
  --paper: #fdfdfc; --card: #ffffff; --ink: #1d2126; --soft: #626a73; --line: #e3e5e8; --lane: #d5d9de;
  --calm: #6b7480; --calm-fill: #f3f4f6; --busy: #1a5fd0; --busy-fill: #eaf2ff; --good: #1a7f4b;
  --good-fill: #e8f6ee; --bad: #c8303a; --bad-fill: #fdecee; --back: #935606; --back-fill: #fdf3e3; }
@media (prefers-color-scheme: dark) { :root {
  --paper: #14171b; --card: #1a1e23; --ink: #e7eaee; --soft: #98a2ae; --line: #2b3138; --lane: #39414a;
  --calm: #98a2ae; --calm-fill: #22272d; --busy: #6ea8ff; --busy-fill: #16263f; --good: #56c58a;
  --good-fill: #142c20; --bad: #ff7b82; --bad-fill: #3a191d; --back: #e6a54a; --back-fill: #33260f; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); line-height: 1.5;
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main { margin: 0 auto; padding: 40px 28px 56px; }
header p { margin: 0; }
.type { color: var(--soft); font-size: 13px; letter-spacing: .04em; text-transform: uppercase; }
h1 { margin: 2px 0 10px; font-size: 30px; line-height: 1.2; letter-spacing: -.015em;
  overflow-wrap: anywhere; }
.summary { font-size: 17px; }
.badge { display: inline-block; margin-right: 8px; padding: 1px 12px 2px; border-radius: 999px;
  font-weight: 600;
  font-size: 15px; }
.badge.good { background: var(--good-fill); color: var(--good); }
.badge.bad { background: var(--bad-fill); color: var(--bad); }
.badge.back { background: var(--back-fill); color: var(--back); }
.badge.busy { background: var(--busy-fill); color: var(--busy); }
dl.facts { display: flex; flex-wrap: wrap; gap: 8px 36px; margin: 20px 0 28px; }
dl.facts div { display: flex; flex-direction: column-reverse; }
dl.facts dt { color: var(--soft); font-size: 13px; }
dl.facts div.names dd { font-size: 15px; overflow-wrap: anywhere; }
dl.facts dd { margin: 0; font-size: 19px; font-weight: 600; font-variant-numeric: tabular-nums; }
h2 { margin: 36px 0 10px; font-size: 17px; letter-spacing: -.005em; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 14px; overflow: auto; }
figure.card { margin: 0; padding: 8px 12px 4px; }
figcaption { padding: 6px 8px 10px; color: var(--soft); font-size: 13px; }
figcaption a { color: inherit; white-space: nowrap; }
svg.timeline { display: block; margin: 0 auto; width: 100%; height: auto; font-size: 13px; }
.lane { stroke: var(--lane); stroke-width: 1.5; }
rect.name { fill: var(--ink); }
text.name { fill: var(--card); text-anchor: middle; font-weight: 600; font-size: 14px; }
text.tick, text.pause { fill: var(--soft); font-size: 12px; text-anchor: end;
  font-variant-numeric: tabular-nums; }
text.pause { text-anchor: middle; font-style: italic; stroke: var(--card); stroke-width: 12px;
  paint-order: stroke; }
line.pause { stroke: var(--lane); stroke-width: 1; stroke-dasharray: 1 5; stroke-linecap: round; }
.arrow { fill: none; stroke-width: 1.6; opacity: .8; }
.arrow.calm { stroke: var(--calm); } .arrow.busy { stroke: var(--busy); }
  .arrow.good { stroke: var(--calm); }
.arrow.bad { stroke: var(--bad); } .arrow.back { stroke: var(--back); stroke-dasharray: 6 4; }
.arrow.void { opacity: .4; } .arrow.late { stroke-dasharray: 1 5; stroke-linecap: round; }
.head.calm, .head.good { fill: var(--calm); } .head.busy { fill: var(--busy); }
  .head.bad { fill: var(--bad); }
.head.back { fill: var(--back); }
.bar { opacity: .45; } .bar.busy { fill: var(--busy); } .bar.back { fill: var(--back); }
.bar.open { opacity: .25; }
.moment .box { stroke-width: 1.4; }
.moment .icon { fill: none; stroke-width: 1.9; stroke-linecap: round; stroke-linejoin: round; }
.moment .label { font-weight: 600; fill: var(--ink); }
.moment .what { font-weight: 400; }
.moment .event, .moment .why { text-anchor: middle; font-size: 11.5px; stroke: var(--card);
  stroke-width: 5px;
  stroke-linejoin: round; paint-order: stroke; }
.moment .event { fill: var(--ink); } .moment .event.void { stroke: none; text-decoration: line-through; }
.moment .why { fill: var(--soft); }
.calm .box { fill: var(--calm-fill); stroke: var(--calm); } .calm .icon { stroke: var(--calm); }
.busy .box { fill: var(--busy-fill); stroke: var(--busy); } .busy .icon { stroke: var(--busy); }
.good .box { fill: var(--good-fill); stroke: var(--good); } .good .icon { stroke: var(--good); }
.bad .box { fill: var(--bad-fill); stroke: var(--bad); } .bad .icon { stroke: var(--bad); }
.back .box { fill: var(--back-fill); stroke: var(--back); } .back .icon { stroke: var(--back); }
.ghost .box { fill: var(--card); stroke-dasharray: 4 4; } .ghost .label { font-weight: 400;
  fill: var(--soft); }
svg a:hover .box, svg a:focus .box { stroke-width: 2.6; } svg a:focus { outline: none; }
table { width: 100%; border-collapse: collapse; font-size: 14px; }
th { padding: 10px 14px 8px; text-align: left; color: var(--soft); font-weight: 500; font-size: 13px;
  border-bottom: 1px solid var(--line); white-space: nowrap; }
td { padding: 7px 14px; vertical-align: top; border-bottom: 1px solid var(--line);
  overflow-wrap: anywhere; min-width: 6em; max-width: 40em; }
td:last-child { min-width: 20em; }
tbody tr:last-child td { border-bottom: 0; }
td.number { min-width: 0; text-align: right; white-space: nowrap; color: var(--soft);
  font-variant-numeric: tabular-nums; }
td.who, td.step { min-width: 9em; max-width: 18em; } td.step { min-width: 11.5em; }
td.move { white-space: nowrap; }
tr:target td { background: var(--busy-fill); }
tbody tr { scroll-margin-top: 30vh; }
.tone { font-weight: 600; } .tone.good { color: var(--good); } .tone.bad { color: var(--bad); }
.tone.back { color: var(--back); } .tone.busy { color: var(--busy); } .tone.calm { color: var(--calm); }
.quiet { color: var(--soft); font-size: 13px; }
code { font: 12.5px/1.4 ui-monospace, "SF Mono", Menlo, Consolas, monospace; color: var(--soft); }
ul.remarks { margin: 0; padding-left: 20px; color: var(--soft); }
footer { margin-top: 34px; color: var(--soft); font-size: 13px; }
@media print {
  :root { --paper: #fff; --card: #fff; --ink: #000; --soft: #555; --line: #ccc; --lane: #bbb;
    --calm: #555; --calm-fill: #f4f4f4; --busy: #1a56b8; --busy-fill: #eef4ff; --good: #14663c;
    --good-fill: #edf8f1; --bad: #b0202b; --bad-fill: #fdf0f1; --back: #8a5208; --back-fill: #fdf6ea; }
  * { -webkit-print-color-adjust: exact; print-color-adjust: exact; }
  main { max-width: none; padding: 0; } .card { overflow: visible; }
  svg.timeline { max-width: 100%; }
  table { font-size: 11px; } th, td { padding: 4px 6px; }
  td, td.who, td.step, td:last-child { min-width: 0; } th, .quiet { font-size: 9px; }
  td.move { white-space: normal; } .id { display: none; }
  tr, dl { break-inside: avoid; } h2 { break-after: avoid; } thead { display: table-header-group; } }
@page { margin: 14mm; }
"""
"""What does not depend on a picture."""
