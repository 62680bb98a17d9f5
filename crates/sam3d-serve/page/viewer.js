// The image, the masks over it, and where the pointer is: what the page needs of NiiVue.
import { Niivue, SLICE_TYPE, DRAG_MODE, SHOW_RENDER } from '/page/vendor/niivue.js'
import { apply, countLabels, emptyLabels, inverse, paint, voxelAt } from '/page/geometry.js'
import { rgb } from '/page/objects.js'

const PLANES = {
  all: SLICE_TYPE.MULTIPLANAR,
  axial: SLICE_TYPE.AXIAL,
  coronal: SLICE_TYPE.CORONAL,
  sagittal: SLICE_TYPE.SAGITTAL,
  render: SLICE_TYPE.RENDER,
}
/** A pointer that moved further between press and release dragged. */
const CLICK_PIXELS = 4
/** Markers further than this from a plane are not on it, in voxels of the finest axis. */
const MARKER_RADIUS = 7

export class Viewer {
  /** `on` has click(ijk, negative), moved(ijk, value), aimed(). */
  constructor(canvas, markers, on) {
    this.canvas = canvas
    this.markers = markers
    this.on = on
    this.image = undefined
    this.clicks = []
    this.opacity = 0.5
    this.niivue = new Niivue({
      dragAndDropEnabled: false,
      dragMode: DRAG_MODE.windowing,
      multiplanarShowRender: SHOW_RENDER.ALWAYS,
      multiplanarForceRender: true,
      isRadiologicalConvention: true,
      sagittalNoseLeft: true,
      show3Dcrosshair: true,
      crosshairColor: [0.42, 0.72, 1, 0.7],
      crosshairWidth: 0.4,
      crosshairGap: 12,
      fontColor: [0.8, 0.85, 0.9, 1],
      showLegend: false,
      isNearestInterpolation: false,
      isForceMouseClickToVoxelCenters: true,
      logLevel: 'error',
      loadingText: '',
    })
    this.niivue.onLocationChange = () => this.#moved()
    this.#listen()
    this.#takesPointer(false)
  }

  async attach() {
    await this.niivue.attachToCanvas(this.canvas)
    new ResizeObserver(() => this.drawMarkers()).observe(this.canvas)
  }

  /** Shows a plain NIfTI file whose geometry is `image`. */
  async show(image, file) {
    this.close()
    await this.niivue.loadFromArrayBuffer(file, 'image.nii')
    const voxels = image.shape_ijk.reduce((product, size) => product * size, 1)
    await this.niivue.loadFromArrayBuffer(emptyLabels(file, voxels), 'labels.nii')
    this.image = { ...image, ijkFromWorld: inverse(image.world_from_ijk) }
    this.niivue.setOpacity(1, this.opacity)
    this.showObjects([], undefined)
    this.#moved()
    this.#takesPointer(true)
  }

  close() {
    this.#takesPointer(false)
    this.image = undefined
    this.clicks = []
    for (const volume of [...this.niivue.volumes]) this.niivue.removeVolume(volume)
    this.drawMarkers()
  }

  /** Paints the masks of `objects` and marks the clicks of `active`. */
  showObjects(objects, active) {
    this.clicks = active?.clicks ?? []
    this.drawMarkers()
    if (!this.image) return
    const overlay = this.niivue.volumes[1]
    overlay.img.fill(0)
    objects.forEach((object, at) => paint(overlay.img, object.runs, at + 1))
    const colours = [[0, 0, 0], ...objects.map((object) => rgb(object.colour))]
    const channel = (at) => colours.map((colour) => colour[at])
    overlay.setColormapLabel({ R: channel(0), G: channel(1), B: channel(2), I: colours.map((_, at) => at) })
    this.niivue.updateGLVolume()
  }

  /** How many voxels of each object are not under a later one, as they are painted and saved. */
  visibleVoxels(objects) {
    return this.image ? countLabels(this.niivue.volumes[1].img, objects.length) : objects.map(() => 0)
  }

  setOpacity(opacity) {
    this.opacity = opacity
    if (this.image) this.niivue.setOpacity(1, opacity)
  }

  /** Lowest and highest value that are told apart, in Hounsfield units; the range of the image without. */
  setWindow(window) {
    const volume = this.niivue.volumes[0]
    if (!volume) return
    const [low, high] = window ?? [volume.global_min, volume.global_max]
    volume.cal_min = low
    volume.cal_max = high
    this.niivue.updateGLVolume()
  }

  setPlane(plane) {
    this.niivue.setSliceType(PLANES[plane])
    this.drawMarkers()
  }

  /** Moves the crosshair by voxels along right, anterior and superior. */
  step(right, anterior, superior) {
    if (this.image) this.niivue.moveCrosshairInVox(right, anterior, superior)
  }

  /** The voxel under the crosshair. */
  crosshair() {
    return this.image && this.#voxelAt(this.niivue.scene.crosshairPos)
  }

  /** The voxel where the next click is expected: under the pointer, else under the crosshair. */
  aim() {
    return (this.image && this.pointer && this.#voxelUnder(this.pointer)) || this.crosshair()
  }

  drawMarkers() {
    this.markers.replaceChildren()
    if (!this.image) return
    const ratio = this.canvas.width / this.canvas.clientWidth
    for (const click of this.clicks) {
      const millimetres = apply(this.image.world_from_ijk, click.ijk)
      const fraction = this.niivue.mm2frac(millimetres, 0, true)
      for (const plane of [SLICE_TYPE.AXIAL, SLICE_TYPE.CORONAL, SLICE_TYPE.SAGITTAL]) {
        const found = this.niivue.frac2canvasPosWithTile(fraction, plane)
        if (found) this.#mark(found.pos.map((value) => value / ratio), click.label)
      }
    }
  }

  /** Without an image NiiVue fails at what the pointer does. */
  #takesPointer(takes) {
    this.canvas.style.pointerEvents = takes ? '' : 'none'
  }

  #mark([x, y], label) {
    for (const name of ['halo', label]) {
      const circle = document.createElementNS('http://www.w3.org/2000/svg', 'circle')
      circle.setAttribute('cx', x)
      circle.setAttribute('cy', y)
      circle.setAttribute('r', MARKER_RADIUS)
      circle.setAttribute('class', name)
      this.markers.append(circle)
    }
  }

  #voxelAt(fraction) {
    const millimetres = this.niivue.frac2mm(fraction, 0, true)
    return voxelAt(this.image.ijkFromWorld, this.image.shape_ijk, millimetres)
  }

  /** The voxel where an event of the pointer was; `undefined` beside the image. */
  #voxelUnder(event) {
    const bounds = this.canvas.getBoundingClientRect()
    const ratio = this.canvas.width / bounds.width
    const at = [(event.clientX - bounds.left) * ratio, (event.clientY - bounds.top) * ratio]
    const fraction = this.niivue.canvasPos2frac(at)
    return fraction[0] < 0 ? undefined : this.#voxelAt(fraction)
  }

  #moved() {
    this.drawMarkers()
    const ijk = this.crosshair()
    if (!ijk) return
    this.on.aimed()
    const [i, j, k] = ijk
    const [width, height] = this.image.shape_ijk
    this.on.moved(ijk, this.niivue.volumes[0].img[(k * height + j) * width + i])
  }

  #listen() {
    let press
    this.canvas.addEventListener('pointerdown', (event) => {
      press = { x: event.clientX, y: event.clientY, button: event.button }
    })
    this.canvas.addEventListener('pointerup', (event) => {
      const pressed = press
      press = undefined
      if (!this.image || !pressed || pressed.button !== event.button || event.button === 1 || event.shiftKey) return
      if (Math.hypot(event.clientX - pressed.x, event.clientY - pressed.y) > CLICK_PIXELS) return
      const ijk = this.#voxelUnder(event)
      if (ijk) this.on.click(ijk, event.button === 2 || event.altKey)
    })
    this.canvas.addEventListener('pointermove', (event) => {
      this.pointer = event
      this.on.aimed()
    })
    this.canvas.addEventListener('pointerleave', () => { this.pointer = undefined })
    // NiiVue has keys of its own, of which the help says nothing.
    for (const type of ['keydown', 'keyup']) {
      this.canvas.addEventListener(type, (event) => event.stopImmediatePropagation())
    }
  }
}
