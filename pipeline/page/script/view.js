/* What is chosen by the filters, and what of the facts passes them. */

const at = (id) => document.getElementById(id);
const make = (name, attributes = {}, ...children) => {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(key, value);
    else if (value !== undefined && value !== false) element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children);
  return element;
};

const chosen = { lang: new Set(), task: new Set(), gen: new Set(), license: new Set(), text: "" };
const show = {
  size: "rows",
  colour: "lang",
  log: "log",
  area: "rows",
  curve: "",
  notion: "row",
  near: "share",
  leak: "share",
};
const sources = facts.sources.map((source, index) => ({ ...source, index }));
const groups = facts.groups.map((group, index) => ({
  ...group,
  index,
  chars: group.request_chars + group.answer_chars,
  elsewhere: { request: 0, row: 0 },
  near: { request: {}, row: {} },
}));
for (const [notion, matrix] of Object.entries(facts.near)) {
  for (const [group, source, rows] of matrix.sources) groups[group].near[notion][source] = rows;
  for (const [group, rows] of matrix.elsewhere) groups[group].elsewhere[notion] = rows;
}
const passes = (group) =>
  TAGS.every((tag) => !chosen[tag].size || chosen[tag].has(group[tag])) &&
  sources[group.source].name.toLowerCase().includes(chosen.text.toLowerCase());
/* The groups that pass, and the sources they are of, each with its groups that pass. */
const view = () => {
  const passing = groups.filter(passes);
  const found = sources.map((source) => {
    const own = passing.filter((group) => group.source === source.index);
    return { ...source, groups: own, rows: sum(own, (g) => g.rows), chars: sum(own, (g) => g.chars) };
  });
  return { groups: passing, sources: found.filter((source) => source.groups.length) };
};
const judged = (seen) => seen.sources.filter((source) => source.state === "judged" && source.rows);
const values = (tag) => {
  const known = Object.keys(facts.meanings[tag] || {});
  const there = new Set(groups.map((group) => group[tag]));
  return [...known.filter((one) => there.has(one)), ...[...there].filter((one) => !known.includes(one)).sort()];
};
