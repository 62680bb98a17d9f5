// The image and the masks in 3D, by NiiVue, which is loaded when 3D is first asked for. It gets a coarser volume, so that a large
// one fits the graphics card.
import { rgb } from './history.js'
import { apply } from './geometry.js'

const MOST_VOXELS = 4 << 20
const HEADER_BYTES = 352

export class Render {
  constructor(canvas) {
    this.canvas = canvas
  }

  get isOn() {
    return this.niivue !== undefined
  }

  async start() {
    const { Niivue, SLICE_TYPE } = await import('./vendor/niivue.js')
    const niivue = new Niivue({
      dragAndDropEnabled: false,
      show3Dcrosshair: false,
      fontColor: [0.8, 0.85, 0.9, 1],
      logLevel: 'error',
      loadingText: '',
    })
    await niivue.attachToCanvas(this.canvas)
    niivue.setSliceType(SLICE_TYPE.RENDER)
    this.niivue = niivue
    // NiiVue has keys of its own, of which the help says nothing.
    for (const type of ['keydown', 'keyup']) this.canvas.addEventListener(type, (event) => event.stopImmediatePropagation())
  }

  close() {
    this.coarse = undefined
    for (const volume of [...this.niivue?.volumes ?? []]) this.niivue.removeVolume(volume)
  }

  /** Shows the voxels of `image`, once they are all there. */
  async show(image, voxels, window) {
    this.close()
    const { values, shape, steps } = voxels.coarse(MOST_VOXELS)
    const header = headerOf(image, shape, steps)
    await this.niivue.loadFromArrayBuffer(file(header, values), 'image.nii')
    await this.niivue.loadFromArrayBuffer(file(header, new Uint8Array(values.length)), 'labels.nii')
    this.coarse = { shape, steps, full: image.shape_ijk }
    this.niivue.setOpacity(1, 0.6)
    this.setWindow(window)
  }

  setWindow([low, high]) {
    const volume = this.niivue?.volumes[0]
    if (!volume) return
    Object.assign(volume, { cal_min: low, cal_max: high })
    this.niivue.updateGLVolume()
  }

  /** Paints the masks of `objects`. */
  setObjects(objects) {
    if (!this.coarse) return
    const overlay = this.niivue.volumes[1]
    overlay.img.fill(0)
    objects.forEach(({ runs }, at) => this.#paint(overlay.img, runs, at + 1))
    const colours = [[0, 0, 0], ...objects.map(({ colour }) => rgb(colour))]
    const channel = (at) => colours.map((colour) => colour[at])
    overlay.setColormapLabel({ R: channel(0), G: channel(1), B: channel(2), I: colours.map((_, at) => at) })
    this.niivue.updateGLVolume()
  }

  #paint(labels, runs, label) {
    const { shape, steps, full } = this.coarse
    for (const [start, length] of runs) {
      for (let at = start; at < start + length; at += 1) {
        const i = at % full[0]
        const row = (at - i) / full[0]
        const j = row % full[1]
        const k = (row - j) / full[1]
        if (i % steps[0] || j % steps[1] || k % steps[2]) continue
        labels[i / steps[0] + shape[0] * (j / steps[1] + shape[1] * (k / steps[2]))] = label
      }
    }
  }
}

/** A NIfTI header of a volume with every `steps`th voxel of `image`. */
function headerOf(image, shape, steps) {
  const header = new DataView(new ArrayBuffer(HEADER_BYTES))
  header.setInt32(0, 348, true)
  ;[3, ...shape, 1, 1, 1, 1].forEach((size, at) => header.setInt16(40 + 2 * at, size, true))
  ;[1, ...image.spacing_ijk_mm.map((size, axis) => size * steps[axis])].forEach((size, at) => header.setFloat32(76 + 4 * at, size, true))
  header.setFloat32(108, HEADER_BYTES, true)
  header.setFloat32(112, 1, true)
  header.setInt16(254, 2, true)
  const origin = apply(image.world_from_ijk, [0, 0, 0])
  image.world_from_ijk.forEach((row, at) => {
    [row[0] * steps[0], row[1] * steps[1], row[2] * steps[2], origin[at]].forEach((value, column) =>
      header.setFloat32(280 + 16 * at + 4 * column, value, true))
  })
  ;[0x6e, 0x2b, 0x31, 0].forEach((byte, at) => header.setUint8(344 + at, byte))
  return header
}

function file(header, values) {
  const [type, bits] = { Int16Array: [4, 16], Float32Array: [16, 32], Uint8Array: [2, 8] }[values.constructor.name]
  const bytes = new Uint8Array(HEADER_BYTES + values.byteLength)
  bytes.set(new Uint8Array(header.buffer))
  new DataView(bytes.buffer).setInt16(70, type, true)
  new DataView(bytes.buffer).setInt16(72, bits, true)
  bytes.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), HEADER_BYTES)
  return bytes.buffer
}
