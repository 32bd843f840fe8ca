/* Facts, colours, and how numbers and names are put into words.

   Texts of the corpus are hostile. They are put on the page as text, never as markup; what plotly shows of names goes
   through `plain`, for plotly reads a little HTML. */

const facts = JSON.parse(document.getElementById("facts").textContent);
const TAGS = ["lang", "task", "gen", "license"];
const TITLES = { lang: "Language", task: "Task", gen: "Origin", license: "Licence" };
// Okabe and Ito's palette, which the colour-blind can tell apart; beyond it hues are shaded.
const PALETTE = [
  "#0072b2",
  "#e69f00",
  "#009e73",
  "#cc79a7",
  "#56b4e9",
  "#d55e00",
  "#8a6d00",
  "#5f5f5f",
  "#b3a2d8",
  "#9ccb86",
  "#7a3b69",
  "#c9c9c9",
];
const SHADES = [
  [0, "#f7fbff"],
  [0.15, "#d6e6f4"],
  [0.35, "#abcfe6"],
  [0.55, "#6aaed6"],
  [0.75, "#3484c0"],
  [1, "#0b4f8a"],
];
const FONT = { family: getComputedStyle(document.body).fontFamily, size: 12.5, color: "#1f2933" };
const CONFIG = { displaylogo: false, responsive: true, modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"] };
const NOTIONS = { request: "request alone", row: "request and answer" };

const whole = new Intl.NumberFormat("en-US");
const number = (value) => whole.format(value);
const compact = (value, words) => {
  const step = [
    [1e9, "billion", "G"],
    [1e6, "million", "M"],
    [1e4, "thousand", "k"],
  ].find(([least]) => value >= least);
  if (!step) return number(value);
  const shown = value / (step[0] === 1e4 ? 1e3 : step[0]);
  return `${shown.toFixed(shown < 10 ? 2 : shown < 100 ? 1 : 0)}\u00a0${words ? step[1] : step[2]}`;
};
const percent = (share) => {
  const shown =
    share === 0 || share === 1
      ? String(100 * share)
      : share < 0.0005
        ? "<0.1"
        : share > 0.9995
          ? ">99.9"
          : (share * 100).toFixed(share < 0.0995 || share >= 0.995 ? 1 : 0);
  return `${shown}\u00a0%`;
};
const share = (part, all) => (all ? part / all : 0);
const plain = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
const sum = (items, of) => items.reduce((total, one) => total + of(one), 0);
const many = (count, word) => `${number(count)} ${word}${count === 1 ? "" : "s"}`;
const outOf = (part, all, word) => `${many(part, word)} of ${number(all)} (${percent(share(part, all))})`;
const folded = (text) => plain(text).replace(/(.{50}[^ ]*) /g, "$1<br>");
const ranked = (counts) => Object.entries(counts).sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
const totals = (groups, of) => {
  const found = Object.create(null);
  for (const group of groups)
    for (const [key, rows] of Object.entries(of(group) || {})) found[key] = (found[key] || 0) + rows;
  return found;
};
const names = new Intl.DisplayNames(["en"], { type: "language" });
const language = (tag) => {
  if (tag === "und") return "nothing to tell by";
  try {
    return names.of(tag);
  } catch {
    return tag;
  }
};
const meaning = (tag, value) => (facts.meanings[tag] || {})[value] || "";
const tagged = (tag, value) => (meaning(tag, value) ? `${value} (${meaning(tag, value)})` : value);
const cap = (text) => text.charAt(0).toUpperCase() + text.slice(1);
