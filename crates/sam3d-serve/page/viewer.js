// The image in three planes and in 3D: drawing, the crosshair, and what the pointer does.
import { PLANES, planesOf, voxelAt } from './geometry.js'
import { Marks } from './marks.js'
import { PlaneView } from './plane_view.js'
import { slicesOf } from './runs.js'
import { Voxels } from './voxels.js'

/** A pointer that moved further between press and release dragged, in pixels of the screen. */
const CLICK_PIXELS = 4
const WHEEL_ZOOM = 1.0015
/** Pixels that a wheel turns for one slice. */
const WHEEL_SLICE = 40

const NO_MARKS = { prompts: [], missed: [], diameters: undefined, ruler: [] }

export class Viewer {
  /**
   * `on` has stroke(tool, points, plane, outside), stroking(points, plane), moved(ijk, value), aimed(), windowed(window), drawn(), and
   * tool(), which gives `{ name, width, draws }`.
   */
  constructor(root, on) {
    this.root = root
    this.on = on
    this.layout = 'all'
    this.opacity = 0.5
    this.window = [-160, 240]
    this.marks = NO_MARKS
    this.objects = []
    this.panes = PLANES.map((name) => {
      const element = root.querySelector(`[data-pane="${name}"]`)
      const pane = { name, element, canvas: element.querySelector('canvas'), svg: element.querySelector('svg') }
      pane.slider = element.querySelector('input[type="range"]')
      pane.number = element.querySelector('input[type="number"]')
      for (const input of [pane.slider, pane.number]) {
        input.addEventListener('input', () => input.value !== '' && this.#slice(pane, Number(input.value)))
      }
      this.#listen(pane)
      return pane
    })
    this.#fit()
    new ResizeObserver(() => this.#fit()).observe(root)
    this.close()
  }

  /** Shows `image`, whose voxels arrive later. */
  open(image) {
    this.close()
    this.image = image
    this.voxels = new Voxels(image)
    planesOf(image).forEach((plane, at) => {
      const pane = this.panes[at]
      pane.view = new PlaneView(plane, pane.canvas)
      pane.over = new Marks(pane.svg, pane.view)
      pane.slider.max = pane.number.max = plane.slices - 1
    })
    this.crosshair = image.shape_ijk.map((size) => size >> 1)
    this.focused = this.panes[0]
    this.root.classList.add('open')
    this.redraw()
  }

  /** Loads the voxels; `arrived(share)` is told how far it is. */
  async load(address, arrived) {
    const { voxels } = this
    this.loading = new AbortController()
    await voxels.load(address, this.loading.signal, (share) => {
      if (voxels !== this.voxels) return
      if (this.isFullRange) this.window = voxels.range
      this.redraw()
      arrived(share)
    })
  }

  close() {
    this.loading?.abort()
    this.image = this.voxels = this.crosshair = this.stroke = undefined
    this.objects = []
    this.marks = NO_MARKS
    for (const pane of this.panes) {
      pane.view = pane.over = undefined
      pane.svg.replaceChildren()
      pane.canvas.getContext('2d').clearRect(0, 0, pane.canvas.width, pane.canvas.height)
    }
    this.root.classList.remove('open')
  }

  /** Shows the masks of `objects`, each `{ runs, colour, outlined }`. */
  setObjects(objects) {
    this.objects = objects
    this.redraw()
  }

  /** Shows marks, as `Marks.draw` takes them. */
  setMarks(marks) {
    this.marks = { ...NO_MARKS, ...marks }
    this.redraw()
  }

  setOpacity(opacity) {
    this.opacity = opacity
    this.redraw()
  }

  /** The lowest and highest value that are told apart; undefined for the range of the image. */
  setWindow(window) {
    this.isFullRange = window === undefined
    this.window = window ?? this.voxels?.range ?? this.window
    this.redraw()
  }

  setLayout(layout) {
    this.layout = layout
    this.root.dataset.layout = layout
    const pane = this.panes.find(({ name }) => name === layout)
    if (pane) this.focused = pane
    this.#fit()
  }

  /** Moves the crosshair by voxels towards right, anterior and superior. */
  step(right, anterior, superior) {
    if (!this.image) return
    const ijk = [...this.crosshair]
    ;[superior, anterior, right].forEach((count, at) => {
      const { across, step } = this.panes[at].view.plane
      ijk[across] += count * step
    })
    this.goTo(ijk)
  }

  /** Moves one slice on in the plane that was used last. */
  nextSlice(count) {
    this.step(...{ axial: [0, 0, count], coronal: [0, count, 0], sagittal: [count, 0, 0] }[this.focused?.name ?? 'axial'])
  }

  /** Moves to the next slice, in the plane that was used last, that has a mask; returns whether there is one. */
  nextMask(runs, direction) {
    const plane = this.focused?.view?.plane
    if (!plane) return true
    const found = slicesOf(runs, this.image.shape_ijk, plane.across)
    const step = direction * plane.step
    for (let at = this.crosshair[plane.across] + step; at >= 0 && at < found.length; at += step) {
      if (!found[at]) continue
      this.goTo(this.crosshair.map((value, axis) => (axis === plane.across ? at : value)))
      return true
    }
    return false
  }

  /** Moves the crosshair to a voxel. */
  goTo(ijk) {
    if (!this.image) return
    this.crosshair = ijk.map((value, axis) => Math.min(this.image.shape_ijk[axis] - 1, Math.max(0, Math.round(value))))
    this.redraw()
    this.on.moved(this.crosshair, this.voxels.value(this.crosshair))
    this.on.aimed()
  }

  /** The voxel where the next click is expected: under the pointer, else under the crosshair. */
  aim() {
    if (!this.image) return undefined
    const pointed = this.pointed && voxelAt(this.image.shape_ijk, this.pointed.pane.view.pointAt(this.#place(this.pointed.pane, this.pointed.event)))
    return pointed ?? this.crosshair
  }

  zoom(factor) {
    for (const { view } of this.panes) {
      if (factor === undefined) Object.assign(view ?? {}, { zoom: 1, shift: [0, 0] })
      else view?.zoomBy(factor)
    }
    this.redraw()
  }

  /** Draws at the next frame. */
  redraw() {
    if (this.frame) return
    this.frame = requestAnimationFrame(() => {
      this.frame = undefined
      this.#draw()
    })
  }

  #draw() {
    if (!this.image) return
    for (const pane of this.panes) {
      const { view, over } = pane
      view.index = this.crosshair[view.plane.across]
      // A field that says so already keeps what is selected in it.
      for (const input of [pane.slider, pane.number]) if (input.value !== String(view.index)) input.value = view.index
      if (pane.element.offsetParent === null) continue
      view.draw(this.voxels, this.window, this.objects, this.opacity, true)
      const { stroke } = this
      const drawn = stroke?.pane === pane && stroke.kind ? stroke : undefined
      over.draw({ ...this.marks, drawn, crosshair: this.crosshair })
    }
    this.root.dataset.drawn = String(Number(this.root.dataset.drawn ?? 0) + 1)
    this.on.drawn()
  }

  #fit() {
    for (const { canvas } of this.panes) {
      canvas.width = Math.max(1, Math.round(canvas.clientWidth * devicePixelRatio))
      canvas.height = Math.max(1, Math.round(canvas.clientHeight * devicePixelRatio))
    }
    this.redraw()
  }

  #slice(pane, index) {
    if (!this.image || !Number.isFinite(index)) return
    this.focused = pane
    const ijk = [...this.crosshair]
    ijk[pane.view.plane.across] = index
    this.goTo(ijk)
  }

  #place(pane, event) {
    const bounds = pane.canvas.getBoundingClientRect()
    return [event.clientX - bounds.left, event.clientY - bounds.top].map((value) => value * devicePixelRatio)
  }

  #listen(pane) {
    const { element, canvas } = pane
    const pointers = new Map()
    canvas.addEventListener('contextmenu', (event) => event.preventDefault())
    canvas.addEventListener('pointerdown', (event) => {
      if (!this.image) return
      canvas.setPointerCapture(event.pointerId)
      this.focused = pane
      pointers.set(event.pointerId, event)
      if (pointers.size === 2) this.stroke = { pane, does: 'pinch' }
      else this.#press(pane, event)
      this.redraw()
    })
    canvas.addEventListener('pointermove', (event) => {
      if (!this.image) return
      this.pointed = { pane, event }
      this.on.aimed()
      const before = pointers.get(event.pointerId)
      if (before) pointers.set(event.pointerId, event)
      if (before && this.stroke?.does === 'pinch') this.#pinch(pane, pointers, before, event)
      else if (before && this.stroke) this.#drag(event, before)
      else if (!before) this.#hover(pane, event)
    })
    const end = (event, isWhole) => {
      pointers.delete(event.pointerId)
      const { stroke } = this
      if (!stroke || stroke.pane !== pane) return
      if (stroke.does === 'pinch' && pointers.size > 0) return
      this.stroke = undefined
      if (isWhole && this.image) this.#release(stroke, event)
      this.redraw()
    }
    canvas.addEventListener('pointerup', (event) => end(event, true))
    canvas.addEventListener('pointercancel', (event) => end(event, false))
    canvas.addEventListener('pointerleave', () => {
      this.pointed = undefined
      if (this.stroke?.isHovering) this.stroke = undefined
      this.redraw()
    })
    let turned = 0
    element.addEventListener('wheel', (event) => {
      if (!this.image) return
      event.preventDefault()
      this.focused = pane
      if (event.ctrlKey || event.metaKey) {
        pane.view.zoomBy(WHEEL_ZOOM ** -event.deltaY, this.#place(pane, event))
        this.redraw()
        return
      }
      turned += event.deltaY
      const count = Math.trunc(turned / WHEEL_SLICE)
      turned -= count * WHEEL_SLICE
      if (count !== 0) this.nextSlice(-count)
    }, { passive: false })
  }

  #press(pane, event) {
    const tool = this.on.tool()
    const point = pane.view.pointAt(this.#place(pane, event))
    const stroke = { pane, points: [point], start: event, width: tool.width, outside: event.altKey || event.button === 2 }
    if (event.button === 1 || (tool.name === 'pan' && event.button === 0)) stroke.does = 'pan'
    else if (event.shiftKey && event.button === 0) stroke.does = 'crosshair'
    else if (event.button === 2) stroke.does = 'window'
    else if (tool.name === 'click') stroke.does = 'click'
    else {
      stroke.does = 'draw'
      stroke.tool = tool.name
      stroke.kind = { brush: 'brush', eraser: 'brush', ruler: 'scribble' }[tool.name] ?? tool.name
      stroke.outside ||= tool.isOutside
    }
    this.stroke = stroke
    if (stroke.does === 'crosshair') this.goTo(point)
    if (stroke.does === 'draw') this.on.stroking(stroke)
  }

  #drag(event, before) {
    const { stroke } = this
    const [x, y] = [event.clientX - before.clientX, event.clientY - before.clientY]
    stroke.isDrag ||= Math.hypot(event.clientX - stroke.start.clientX, event.clientY - stroke.start.clientY) > CLICK_PIXELS
    const point = stroke.pane.view.pointAt(this.#place(stroke.pane, event))
    if (stroke.does === 'pan') stroke.pane.view.moveBy(x * devicePixelRatio, y * devicePixelRatio)
    else if (stroke.does === 'draw') {
      if (stroke.tool === 'ruler' || stroke.tool === 'box') stroke.points.length = 1
      stroke.points.push(point)
      this.on.stroking(stroke)
    } else if (!stroke.isDrag) return
    else if (stroke.does === 'window') this.#dragWindow(x, y)
    else this.goTo(point)
    this.redraw()
  }

  #dragWindow(x, y) {
    const [low, high] = this.window
    const width = Math.max(1, (high - low) * 1.005 ** x)
    const level = (low + high) / 2 - y * Math.max(0.5, (high - low) / 400)
    this.on.windowed([level - width / 2, level + width / 2])
  }

  #release(stroke, event) {
    const { does, isDrag, pane } = stroke
    if (does === 'draw') {
      this.on.stroke(stroke.tool, stroke.points, pane.view.plane, stroke.outside)
      return
    }
    const isClick = does === 'click' || (does === 'window' && this.on.tool().name === 'click')
    if (!isClick || isDrag) return
    const point = pane.view.pointAt(this.#place(pane, event))
    if (!voxelAt(this.image.shape_ijk, point)) return
    this.goTo(point)
    this.on.stroke('click', [point], pane.view.plane, stroke.outside)
  }

  #hover(pane, event) {
    const tool = this.on.tool()
    const isBrush = tool.name === 'brush' || tool.name === 'eraser'
    if (!isBrush || this.stroke?.isHovering === false) return
    const point = pane.view.pointAt(this.#place(pane, event))
    this.stroke = { pane, kind: 'brush', points: [point], width: tool.width, outside: tool.name === 'eraser', isHovering: true }
    this.redraw()
  }

  #pinch(pane, pointers, before, event) {
    const [other] = [...pointers.values()].filter(({ pointerId }) => pointerId !== event.pointerId)
    const apart = (a) => Math.max(1, Math.hypot(a.clientX - other.clientX, a.clientY - other.clientY))
    const middle = { clientX: (event.clientX + other.clientX) / 2, clientY: (event.clientY + other.clientY) / 2 }
    pane.view.zoomBy(apart(event) / apart(before), this.#place(pane, middle))
    pane.view.moveBy(((event.clientX - before.clientX) / 2) * devicePixelRatio, ((event.clientY - before.clientY) / 2) * devicePixelRatio)
    this.redraw()
  }
}
