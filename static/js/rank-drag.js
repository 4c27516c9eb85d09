// Dragging of chips between rank columns by mouse, pen and touch. Calls moved(key, rank) when one is dropped on a column.
const SLACK = 5; // pixels before a press becomes a drag

export function makeDraggable(board, moved) {
  let drag = null;

  const columnAt = (x, y) => document.elementsFromPoint(x, y).find((element) => element.matches(".rank-column"));
  const mark = (column) => {
    for (const other of board.children) other.toggleAttribute("data-over", other === column);
  };
  const end = () => {
    drag.chip.style.translate = "";
    delete drag.chip.dataset.dragged;
    mark(null);
    drag = null;
  };

  board.addEventListener("pointerdown", (event) => {
    const chip = event.target.closest(".chip");
    if (!chip || event.button) return;
    chip.setPointerCapture(event.pointerId);
    drag = { chip, x: event.clientX, y: event.clientY, far: false };
  });
  board.addEventListener("pointermove", (event) => {
    if (!drag) return;
    const [x, y] = [event.clientX - drag.x, event.clientY - drag.y];
    drag.far ||= Math.hypot(x, y) > SLACK;
    if (!drag.far) return;
    drag.chip.dataset.dragged = "";
    drag.chip.style.translate = `${x}px ${y}px`;
    mark(columnAt(event.clientX, event.clientY));
  });
  board.addEventListener("pointerup", (event) => {
    if (!drag) return;
    const { chip, far } = drag;
    const column = far && columnAt(event.clientX, event.clientY);
    end();
    if (column) moved(chip.dataset.key, column.dataset.rank);
  });
  board.addEventListener("pointercancel", () => drag && end());
}
