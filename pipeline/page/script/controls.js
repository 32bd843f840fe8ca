/* The filters above and the choices beside the figures. */

const choice = (legend, key, options) => {
  const buttons = Object.entries(options).map(([value, label]) =>
    make(
      "button",
      {
        type: "button",
        "data-value": value,
        "aria-pressed": String(show[key] === value),
        click: () => {
          show[key] = value;
          for (const one of buttons) one.setAttribute("aria-pressed", String(one.dataset.value === value));
          draw();
        },
      },
      label,
    ),
  );
  return make("fieldset", {}, make("legend", {}, legend), ...buttons);
};

const filters = () => {
  const form = at("filters");
  form.addEventListener("submit", (event) => event.preventDefault());
  const pressed = [];
  for (const tag of ["lang", "task", "gen"]) {
    const buttons = values(tag).map((value) => {
      const button = make(
        "button",
        {
          type: "button",
          "data-tag": tag,
          "data-value": value,
          title: meaning(tag, value),
          "aria-pressed": "false",
          click: () => {
            if (!chosen[tag].delete(value)) chosen[tag].add(value);
            button.setAttribute("aria-pressed", String(chosen[tag].has(value)));
            draw();
          },
        },
        value,
      );
      return button;
    });
    pressed.push(...buttons);
    form.append(make("fieldset", {}, make("legend", {}, TITLES[tag]), ...buttons));
  }
  const licence = make(
    "select",
    {
      id: "licence",
      change: () => {
        chosen.license = new Set(licence.value ? [JSON.parse(licence.value)] : []);
        draw();
      },
    },
    make("option", { value: "" }, "all"),
    ...values("license").map((one) => make("option", { value: JSON.stringify(one) }, one)),
  );
  const text = make("input", {
    id: "text",
    type: "search",
    placeholder: "name has",
    input: () => {
      chosen.text = text.value.trim();
      draw();
    },
  });
  const reset = make(
    "button",
    {
      type: "button",
      id: "reset",
      click: () => {
        for (const tag of TAGS) chosen[tag] = new Set();
        chosen.text = text.value = licence.value = "";
        for (const one of pressed) one.setAttribute("aria-pressed", "false");
        draw();
      },
    },
    "Reset",
  );
  form.append(
    make("fieldset", {}, make("label", { for: "licence" }, "Licence "), licence),
    make("fieldset", {}, make("label", { for: "text" }, "Source "), text),
    reset,
    make("output", { id: "shown" }),
  );
};
