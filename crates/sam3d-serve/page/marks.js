// What lies over the slices: the crosshair, prompts, diameters, the ruler, and what is being drawn. As SVG, so that it can be read.

const NAMESPACE = 'http://www.w3.org/2000/svg'
const CLICK_RADIUS = 6

/** The marks over one plane. */
export class Marks {
  constructor(svg, view) {
    this.svg = svg
    this.view = view
  }

  /**
   * Draws `{ prompts, missed, diameters, ruler, drawn, crosshair }`. `drawn` is a stroke on this plane: its points, kind, width and
   * whether it is outside.
   */
  draw({ prompts, missed, diameters, ruler, drawn, crosshair }) {
    this.svg.replaceChildren()
    if (crosshair) this.#crosshair(crosshair)
    prompts.forEach((prompt, at) => this.#prompt(prompt, missed.includes(at)))
    if (diameters && diameters.axis === this.view.plane.across && diameters.slice === this.view.index) {
      this.#measure('diameter', diameters.longest)
      this.#measure('diameter', diameters.perpendicular)
    }
    for (const line of ruler) if (this.#isHere(line.ends_ijk[0])) this.#measure('ruler', line)
    if (drawn) this.#drawn(drawn)
    this.#letters()
  }

  #isHere(ijk) {
    return Math.round(ijk[this.view.plane.across]) === this.view.index
  }

  #place(ijk) {
    return this.view.placeOf(ijk).map((value) => value / devicePixelRatio)
  }

  #add(name, attributes, text) {
    const element = document.createElementNS(NAMESPACE, name)
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value)
    if (text) element.textContent = text
    this.svg.append(element)
    return element
  }

  /** A shape with a dark line under it, so that it is seen on any ground. */
  #twice(name, attributes, kind) {
    this.#add(name, { ...attributes, class: `${kind} halo` })
    this.#add(name, { ...attributes, class: kind })
  }

  #prompt(prompt, isMissed) {
    const [[kind, content]] = Object.entries(prompt)
    const side = content.label === 'negative' ? 'negative' : 'positive'
    const style = `${side}${isMissed ? ' missed' : ''}`
    if (kind === 'click' && this.#isHere(content.at.voxel)) {
      const [cx, cy] = this.#place(content.at.voxel)
      this.#twice('circle', { cx, cy, r: CLICK_RADIUS }, `click ${style}`)
    } else if (kind === 'box') {
      this.#box(content, style)
    } else if (kind === 'lasso' && this.#isHere(content.outline[0])) {
      this.#twice('polygon', { points: this.#points(content.outline) }, `lasso ${style}`)
    } else if (kind === 'scribble' && this.#isHere(content.path[0])) {
      this.#twice('polyline', { points: this.#points(content.path) }, `scribble ${style}`)
    }
  }

  #points(list) {
    return list.map((ijk) => this.#place(ijk).map((value) => value.toFixed(1)).join()).join(' ')
  }

  #box({ first, last }, style) {
    const { across } = this.view.plane
    if (this.view.index < first[across] || this.view.index > last[across]) return
    // From the outer edges of its voxels.
    const [a, b] = [this.#place(first), this.#place(last)]
    const scale = this.view.scale().map((value) => value / devicePixelRatio / 2)
    const low = a.map((value, axis) => Math.min(value, b[axis]) - scale[axis])
    const high = a.map((value, axis) => Math.max(value, b[axis]) + scale[axis])
    this.#twice('rect', { x: low[0], y: low[1], width: high[0] - low[0], height: high[1] - low[1] }, `box ${style}`)
  }

  #measure(kind, { ends_ijk: ends, length_mm: length }) {
    const [[x1, y1], [x2, y2]] = ends.map((end) => this.#place(end))
    this.#twice('line', { x1, y1, x2, y2 }, kind)
    const [right, other] = x1 > x2 ? [[x1, y1], [x2, y2]] : [[x2, y2], [x1, y1]]
    this.#add('text', { x: right[0] + 5, y: right[1] + (right[1] > other[1] ? 12 : -3), class: `${kind} text` }, `${length.toFixed(1)} mm`)
  }

  #drawn({ kind, points, width, outside }) {
    const style = outside ? 'negative' : 'positive'
    if (kind === 'box') {
      const [a, b] = [points[0], points.at(-1)].map((point) => this.#place(point))
      const [x, y] = a.map((value, axis) => Math.min(value, b[axis]))
      this.#add('rect', { x, y, width: Math.abs(a[0] - b[0]), height: Math.abs(a[1] - b[1]), class: `box ${style}` })
    } else if (kind === 'lasso') {
      this.#add('polygon', { points: this.#points(points), class: `lasso ${style}` })
    } else if (kind === 'brush') {
      const [cx, cy] = this.#place(points.at(-1))
      const [rx, ry] = this.view.scale().map((value) => (value * width) / 2 / devicePixelRatio)
      this.#add('ellipse', { cx, cy, rx, ry, class: `brush ${style}` })
    } else {
      this.#add('polyline', { points: this.#points(points), class: `scribble ${style}` })
    }
  }

  #crosshair(ijk) {
    const [x, y] = this.#place(ijk)
    const { clientWidth: width, clientHeight: height } = this.view.canvas
    const GAP = 12
    for (const [x1, y1, x2, y2] of [[0, y, x - GAP, y], [x + GAP, y, width, y], [x, 0, x, y - GAP], [x, y + GAP, x, height]]) {
      if (x2 >= x1 && y2 >= y1) this.#add('line', { x1, y1, x2, y2, class: 'crosshair' })
    }
  }

  /** Which side of the patient is where. */
  #letters() {
    const { clientWidth: width, clientHeight: height } = this.view.canvas
    const [left, right, top, bottom] = this.view.plane.letters
    for (const [x, y, letter] of [[12, height / 2, left], [width - 12, height / 2, right], [width / 2, 18, top], [width / 2, height - 38, bottom]]) {
      this.#add('text', { x, y, class: 'letter' }, letter)
    }
  }
}
