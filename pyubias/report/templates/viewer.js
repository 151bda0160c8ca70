"use strict";
// Structures as spheres and sticks on a canvas: drag turns them, the wheel zooms.
(function () {
  const data = JSON.parse(document.getElementById("structures").textContent);
  const viewer = document.getElementById("viewer");
  const canvas = viewer.querySelector("canvas"), pen = canvas.getContext("2d");
  const choice = viewer.querySelector("select"), about = viewer.querySelector(".about");
  const legend = viewer.querySelector(".legend");
  let frame = null;
  let turn = [[1, 0, 0], [0, 0.94, -0.34], [0, 0.34, 0.94]]; // rows; a little from above
  let zoom = 1, drawn = [], waiting = false;

  function dot(a, b) {
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
  }

  function turned(v) {
    return turn.map(function (row) { return dot(row, v); });
  }

  function rotate(x, y) { // about the axes of the screen, in radians
    const [cx, sx, cy, sy] = [Math.cos(x), Math.sin(x), Math.cos(y), Math.sin(y)];
    const [a, b, c] = turn;
    const column = function (k) {
      const v = [cx * a[k] + sx * c[k], b[k], cx * c[k] - sx * a[k]];
      return [v[0], cy * v[1] - sy * v[2], sy * v[1] + cy * v[2]];
    };
    const columns = [0, 1, 2].map(column);
    turn = [0, 1, 2].map(function (k) { return columns.map(function (v) { return v[k]; }); });
  }

  // pairs of atoms closer than 1.2 times the sum of their covalent radii, by a sweep along x
  function bondsOf(places, radii) {
    const order = places.map(function (_, k) { return k; });
    order.sort(function (a, b) { return places[a][0] - places[b][0]; });
    const longest = 2.4 * Math.max(...new Set(radii)), found = [];
    for (let m = 0; m < order.length; m++) {
      const a = order[m], p = places[a];
      for (let n = m + 1; n < order.length && places[order[n]][0] - p[0] < longest; n++) {
        const b = order[n], q = places[b];
        const d = Math.hypot(p[0] - q[0], p[1] - q[1], p[2] - q[2]);
        if (d < 1.2 * (radii[a] + radii[b])) found.push([a, b]);
      }
    }
    return found;
  }

  function edgesOf(cell, shift) {
    const at = function (i, j, k) {
      return [0, 1, 2].map(function (d) {
        return i * cell[0][d] + j * cell[1][d] + k * cell[2][d] - shift[d];
      });
    };
    const edges = [];
    for (const [i, j] of [[0, 0], [0, 1], [1, 0], [1, 1]]) {
      edges.push([at(0, i, j), at(1, i, j)], [at(i, 0, j), at(i, 1, j)], [at(i, j, 0), at(i, j, 1)]);
    }
    return edges;
  }

  function choose(number) {
    const chosen = data.frames[number], xyz = chosen.positions, raw = [];
    for (let k = 0; k < xyz.length; k += 3) raw.push(xyz.slice(k, k + 3));
    const kinds = chosen.numbers.map(function (z) { return data.elements[z]; });
    const corners = chosen.cell ? edgesOf(chosen.cell, [0, 0, 0]).flat() : [];
    const middle = [0, 1, 2].map(function (d) {
      const values = raw.concat(corners).map(function (p) { return p[d]; });
      return values.reduce(function (low, v) { return Math.min(low, v); }) / 2 +
        values.reduce(function (high, v) { return Math.max(high, v); }) / 2;
    });
    const places = raw.map(function (p) { return p.map(function (v, d) { return v - middle[d]; }); });
    const edges = chosen.cell ? edgesOf(chosen.cell, middle) : [];
    const ends = places.concat(edges.flat());
    frame = {
      places: places, kinds: kinds, edges: edges,
      bonds: bondsOf(places, kinds.map(function (kind) { return kind.radius; })),
      size: ends.reduce(function (most, p) { return Math.max(most, Math.hypot(...p)); }, 0) + 0.6,
    };
    about.textContent = chosen.about;
    legend.replaceChildren(...new Set(kinds.map(function (kind) { return kind.key; })));
    choice.value = number;
    draw();
  }

  function mix(color, other, part) { // #rrggbb with a part of 0 (black) or 255 (white)
    const channels = [1, 3, 5].map(function (k) { return parseInt(color.slice(k, k + 2), 16); });
    const mixed = channels.map(function (v) { return Math.round(v + part * (other - v)); });
    return "#" + mixed.map(function (v) { return v.toString(16).padStart(2, "0"); }).join("");
  }

  const sprites = new Map();
  function sprite(color) { // a shaded sphere
    if (sprites.has(color)) return sprites.get(color);
    const made = document.createElement("canvas"), n = 96;
    made.width = made.height = n;
    const brush = made.getContext("2d");
    const shade = brush.createRadialGradient(0.38 * n, 0.34 * n, 0.03 * n, n / 2, n / 2, n / 2);
    shade.addColorStop(0, "#fff");
    shade.addColorStop(0.35, color);
    shade.addColorStop(0.92, mix(color, 0, 0.38));
    shade.addColorStop(1, mix(color, 0, 0.6));
    brush.fillStyle = shade;
    brush.arc(n / 2, n / 2, n / 2 - 0.5, 0, 7);
    brush.fill();
    sprites.set(color, made);
    return made;
  }

  function paint() {
    waiting = false;
    const width = canvas.clientWidth, height = canvas.clientHeight, dense = devicePixelRatio || 1;
    canvas.width = width * dense;
    canvas.height = height * dense;
    pen.setTransform(dense, 0, 0, dense, 0, 0);
    const distance = 4 * frame.size, unit = (zoom * 0.47 * Math.min(width, height)) / frame.size;
    const project = function (p) {
      const [x, y, z] = turned(p), s = (unit * distance) / (distance - z);
      return { x: width / 2 + s * x, y: height / 2 - s * y, z: z, s: s };
    };
    const fog = function (z) { return 0.5 * Math.max(0, Math.min(1, 0.5 - z / (2 * frame.size))); };
    const line = function (p, q, color, wide) {
      pen.strokeStyle = color;
      pen.lineWidth = wide;
      pen.beginPath();
      pen.moveTo(p.x, p.y);
      pen.lineTo(q.x, q.y);
      pen.stroke();
    };
    const between = function (a, b, t) { return a.map(function (v, d) { return v + t * (b[d] - v); }); };
    const pale = function (color, z) { return mix(color, 255, fog(z)); };
    const atoms = frame.places.map(project), items = [];
    atoms.forEach(function (p, k) {
      const kind = frame.kinds[k], r = 0.42 * kind.radius * p.s;
      p.r = r;
      items.push([p.z, function () {
        pen.drawImage(sprite(kind.color), p.x - r, p.y - r, 2 * r, 2 * r);
        pen.fillStyle = "rgba(255, 255, 255, " + fog(p.z) + ")";
        pen.beginPath();
        pen.arc(p.x, p.y, r, 0, 7);
        pen.fill();
      }]);
    });
    for (const [a, b] of frame.bonds) {
      const middle = project(between(frame.places[a], frame.places[b], 0.5));
      for (const k of [a, b]) {
        const p = atoms[k], color = frame.kinds[k].color, wide = 0.2 * p.s;
        items.push([(p.z + middle.z) / 2 - 0.01, function () {
          line(p, middle, pale(mix(color, 0, 0.45), p.z), wide);
          line(p, middle, pale(color, p.z), 0.62 * wide);
        }]);
      }
    }
    for (const [a, b] of frame.edges) {
      for (let k = 0; k < 8; k++) { // in pieces, which atoms hide one by one
        const p = project(between(a, b, k / 8)), q = project(between(a, b, (k + 1) / 8));
        items.push([(p.z + q.z) / 2, function () { line(p, q, pale("#6b7280", p.z), 1); }]);
      }
    }
    items.sort(function (a, b) { return a[0] - b[0]; });
    items.forEach(function (item) { item[1](); });
    drawn = atoms;
  }

  function draw() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(paint);
  }

  function step(by) {
    const n = data.frames.length;
    choose((Number(choice.value) + by + n) % n);
  }

  for (const kind of Object.values(data.elements)) {
    kind.key = document.createElement("span");
    const ball = document.createElement("i");
    ball.style.background = kind.color;
    kind.key.append(ball, kind.symbol);
  }
  canvas.addEventListener("pointerdown", function (event) { canvas.setPointerCapture(event.pointerId); });
  canvas.addEventListener("pointermove", function (event) {
    if (event.buttons & 1) {
      rotate(0.01 * event.movementX, 0.01 * event.movementY);
      draw();
      return;
    }
    let top = -1;
    drawn.forEach(function (p, k) {
      const on = Math.hypot(p.x - event.offsetX, p.y - event.offsetY) < p.r;
      if (on && (top < 0 || p.z > drawn[top].z)) top = k;
    });
    canvas.title = top < 0 ? "" : frame.kinds[top].symbol + ", atom " + (top + 1);
  });
  canvas.addEventListener("wheel", function (event) {
    event.preventDefault();
    zoom = Math.min(20, Math.max(0.2, zoom * Math.exp(-0.0015 * event.deltaY)));
    draw();
  }, { passive: false });
  canvas.addEventListener("dblclick", function () {
    zoom = 1;
    draw();
  });
  choice.addEventListener("change", function () { choose(Number(choice.value)); });
  viewer.querySelector(".back").addEventListener("click", function () { step(-1); });
  viewer.querySelector(".next").addEventListener("click", function () { step(1); });
  addEventListener("resize", draw);
  choose(Number(choice.value));
})();
