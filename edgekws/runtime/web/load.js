const $ = id => document.getElementById(id);
let parts;

function cannotRun(error) {
  $("status").textContent = "Not ready.";
  $("alert").textContent = `This browser cannot run the page (${error.message}). Use a current Chrome, Edge, Firefox or Safari.`;
  $("alert").hidden = false;
}

function insert(kind, text) {
  const element = document.createElement(kind);
  element.textContent = text;
  document.head.append(element);
}

unpack($("pack").textContent, $("pack").dataset.sizes.split(" ").map(Number)).then(unpacked => {
  parts = unpacked;
  insert("style", parts.style);
  insert("script", parts.script);
}).catch(cannotRun);
