"use strict";
(() => {
  // The page is complete without this script; it adds the search, and opens what is folded before printing.
  const STEP = 200;
  let shownMax = STEP;
  const all = JSON.parse(document.getElementById("stream-data").textContent);
  const body = document.getElementById("stream-rows");
  const search = document.getElementById("search");
  const touched = document.getElementById("touched");
  const matches = document.getElementById("matches");
  const further = document.getElementById("further");
  const NAMESPACE = "http://www.w3.org/2000/svg";

  const element = (name, text, className) => {
    const made = document.createElement(name);
    made.textContent = text;
    if (className) made.className = className;
    return made;
  };
  const bar = (widths) => {
    const svg = document.createElementNS(NAMESPACE, "svg");
    svg.setAttribute("class", "bar");
    svg.setAttribute("aria-hidden", "true");
    let from = 0;
    widths.forEach((width, index) => {
      if (width === 0) return;
      const part = document.createElementNS(NAMESPACE, "rect");
      part.setAttribute("class", ["kept-part", "lost-part", "unknown-part"][index]);
      part.setAttribute("x", from + "%");
      part.setAttribute("width", width + "%");
      part.setAttribute("height", "100%");
      svg.append(part);
      from += width;
    });
    return svg;
  };
  const row = ([name, kind, widths, kept, lost, unknown, why]) => {
    const made = document.createElement("tr");
    const title = element("th", name);
    title.scope = "row";
    const picture = document.createElement("td");
    picture.append(bar(widths));
    made.append(
      title, element("td", kind), picture, element("td", kept, "number"), element("td", lost, "number is-lost"),
      element("td", unknown, "number"), element("td", why));
    return made;
  };
  const show = () => {
    const wanted = search.value.trim().toLowerCase();
    const found = all.filter((stream) =>
      (!touched.checked || stream[6] !== "") && stream[0].toLowerCase().includes(wanted));
    body.replaceChildren(...found.slice(0, shownMax).map(row));
    further.hidden = found.length <= shownMax;
    const more = further.hidden ? "" : `, the first ${shownMax.toLocaleString("en")} are shown`;
    matches.textContent = `${found.length.toLocaleString("en")} of ${all.length.toLocaleString("en")}${more}`;
  };
  if (body && all.length > 1) {
    document.querySelector(".controls").hidden = false;
    further.hidden = all.length <= shownMax;
    const showFromTheFirst = () => { shownMax = STEP; show(); };
    search.addEventListener("input", showFromTheFirst);
    touched.addEventListener("change", showFromTheFirst);
    further.addEventListener("click", () => { shownMax += STEP; show(); });
    // `report.html#find=scope/name` is a link for the owner of a stream, `#losing&rows=1000` one for those who have to tell owners.
    const wanted = new URLSearchParams(location.hash.slice(1));
    if (["find", "losing", "rows"].some((name) => wanted.has(name))) {
      search.value = wanted.get("find") ?? "";
      touched.checked = wanted.has("losing");
      shownMax = Number.parseInt(wanted.get("rows"), 10) || STEP;
      show();
    }
  }
  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((folded) => { folded.open = true; }));
})();
