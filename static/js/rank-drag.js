// Dragging of chips between rank columns by mouse, pen and touch. Calls moved(key, rank) when one is dropped on a column.
const SLACK = 5; // pixels before a press becomes a drag

export function makeDraggable(board, moved, { signal }) {
  let drag = null;
  let dropped = false;

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
    if (!chip || event.button || drag) return; // a second finger changes nothing
    dropped = false;
    chip.setPointerCapture(event.pointerId);
    drag = { chip, pointer: event.pointerId, x: event.clientX, y: event.clientY, far: false };
  });
  board.addEventListener("pointermove", (event) => {
    if (event.pointerId !== drag?.pointer) return;
    const [x, y] = [event.clientX - drag.x, event.clientY - drag.y];
    drag.far ||= Math.hypot(x, y) > SLACK;
    if (!drag.far) return;
    drag.chip.dataset.dragged = "";
    drag.chip.style.translate = `${x}px ${y}px`;
    mark(columnAt(event.clientX, event.clientY));
  });
  board.addEventListener("pointerup", (event) => {
    if (event.pointerId !== drag?.pointer) return;
    const { chip, far } = drag;
    const column = far && columnAt(event.clientX, event.clientY);
    end();
    dropped = far;
    if (column) moved(chip.dataset.key, column.dataset.rank);
  });
  board.addEventListener("click", (event) => {
    if (dropped) event.stopImmediatePropagation(); // the end of a drag is no tap
    dropped = false;
  }, { capture: true });
  for (const lost of ["pointercancel", "lostpointercapture"]) {
    board.addEventListener(lost, (event) => event.pointerId === drag?.pointer && end());
  }
  document.addEventListener("keydown", (event) => event.key === "Escape" && drag && end(), { signal });
}
