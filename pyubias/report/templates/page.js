"use strict";
// the values of the point of a curve that is nearest to the mouse
document.querySelectorAll(".picture").forEach(function (picture) {
  const points = JSON.parse(picture.dataset.points);
  if (!points.length) return;
  const mark = document.createElement("div"), tip = document.createElement("div");
  mark.className = "mark";
  tip.className = "tip";

  function leave() {
    mark.remove();
    tip.remove();
  }

  picture.addEventListener("mousemove", function (event) {
    const box = picture.getBoundingClientRect();
    const x = event.clientX - box.left, y = event.clientY - box.top;
    let nearest = null, best = 24; // px; farther away there is nothing to ask for
    for (const point of points) {
      const distance = Math.hypot(point[0] * box.width - x, point[1] * box.height - y);
      if (distance < best) [nearest, best] = [point, distance];
    }
    if (nearest === null) return leave();
    const left = nearest[0] * box.width, top = nearest[1] * box.height;
    mark.style.left = left + "px";
    mark.style.top = top + "px";
    tip.textContent = nearest[2];
    picture.append(mark, tip);
    // beside the point, and inside the picture
    const room = left + tip.offsetWidth + 14 < box.width;
    tip.style.left = (room ? left + 12 : Math.max(0, left - tip.offsetWidth - 12)) + "px";
    tip.style.top = Math.max(0, top - tip.offsetHeight - 10) + "px";
  });
  picture.addEventListener("mouseleave", leave);
});
