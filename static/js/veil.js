// Possibly harmful texts are blurred by the style sheet until they are opened; here they are kept from the keyboard and
// from a screen reader as well.
const reveal = document.getElementById("reveal");

function draw() {
  for (const text of document.querySelectorAll(".workbench .text")) text.inert = !reveal.checked;
}

reveal.addEventListener("change", draw);
draw();
