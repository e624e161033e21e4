// Makes the pages livelier; each of them works without.
"use strict";

// Files that are dropped, their names, and a word before too many bytes are sent.
for (const form of document.querySelectorAll("form[data-drop]")) {
  const input = form.querySelector("input[type=file]");
  const chosen = form.querySelector(".chosen");
  const zone = form.querySelector(".drop");
  const most = Number(form.dataset.bytesMax);
  const bytes = () => [...input.files].reduce((sum, file) => sum + file.size, 0);
  const show = () => {
    const names = [...input.files].map((file) => file.name);
    const more = names.length > 5 ? ` +${names.length - 5}` : "";
    chosen.textContent = bytes() > most ? form.dataset.tooLarge : names.slice(0, 5).join(", ") + more;
    chosen.classList.toggle("fault", bytes() > most);
  };
  input.addEventListener("change", show);
  for (const kind of ["dragenter", "dragover"]) {
    zone.addEventListener(kind, (event) => { event.preventDefault(); zone.classList.add("over"); });
  }
  zone.addEventListener("dragleave", () => zone.classList.remove("over"));
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    zone.classList.remove("over");
    input.files = event.dataTransfer.files;
    show();
  });
  form.addEventListener("submit", (event) => {
    if (bytes() > most) { event.preventDefault(); show(); return; }
    form.querySelector("button[type=submit]").disabled = true;
  });
}

// Slice and window are seen as they are moved, and asked about as they are seen.
for (const form of document.querySelectorAll("form[data-look]")) {
  const picture = document.getElementById("picture");
  const ask = document.getElementById("ask");
  let due = 0;
  const draw = () => {
    const wanted = new URLSearchParams();
    for (const name of ["frame", "centre", "width"]) {
      const field = form.elements.namedItem(name);
      if (!field) continue;
      wanted.set(name, field.value);
      let hidden = ask.querySelector(`input[name=${name}]`);
      if (!hidden) {
        hidden = document.createElement("input");
        hidden.type = "hidden";
        hidden.name = name;
        ask.append(hidden);
      }
      hidden.value = field.value;
    }
    picture.src = `${picture.dataset.path}?${wanted}`;
  };
  form.addEventListener("input", (event) => {
    const output = form.querySelector(`output[for=${event.target.name}]`);
    if (output) output.textContent = event.target.value;
    clearTimeout(due);
    due = setTimeout(draw, 80);
  });
}

// What is under way is followed until it is done.
for (const section of document.querySelectorAll("[data-follow]")) {
  const source = new EventSource(section.dataset.follow);
  source.addEventListener("steps", (event) => { section.querySelector(".steps").innerHTML = event.data; });
  source.addEventListener("count", (event) => { section.querySelector("progress").value = Number(event.data); });
  source.addEventListener("done", () => { source.close(); location.reload(); });
}

for (const button of document.querySelectorAll("[data-print]")) {
  button.hidden = false;
  button.addEventListener("click", () => window.print());
}
