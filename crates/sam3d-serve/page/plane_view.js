// One plane of the image on a canvas: the slice, the masks over it, and how it is zoomed and moved.
import { pixelOf, pointAt } from './geometry.js'
import { slicePicture } from './runs.js'
import { rgb } from './history.js'

const MOST_ZOOM = 40
/** Part of the view that an image fills at first. */
const FILLED = 0.98

export class PlaneView {
  constructor(plane, canvas) {
    this.plane = plane
    this.canvas = canvas
    this.index = plane.slices >> 1
    this.zoom = 1
    this.shift = [0, 0]
    const picture = () => Object.assign(document.createElement('canvas'), { width: plane.size[0], height: plane.size[1] })
    this.slice = picture()
    this.masks = picture()
    this.sliceKey = undefined
    this.masksKey = undefined
    this.masksRedrawn = 0
  }

  /** Pixels of the canvas for each pixel of the picture, along both of its axes. */
  scale() {
    const { size, spacing } = this.plane
    const [width, height] = [size[0] * spacing[0], size[1] * spacing[1]]
    const perMillimetre = Math.min(this.canvas.width / width, this.canvas.height / height) * FILLED * this.zoom
    return spacing.map((millimetres) => millimetres * perMillimetre)
  }

  /** The corner of the picture on the canvas. */
  corner() {
    const scale = this.scale()
    const { width, height } = this.canvas
    return [
      (width - this.plane.size[0] * scale[0]) / 2 + this.shift[0],
      (height - this.plane.size[1] * scale[1]) / 2 + this.shift[1],
    ]
  }

  /** Where a point in voxels is on the canvas. */
  placeOf(ijk) {
    const [scale, corner] = [this.scale(), this.corner()]
    return pixelOf(this.plane, ijk).map((value, axis) => corner[axis] + value * scale[axis])
  }

  /** The point in voxels at a place on the canvas. */
  pointAt(place) {
    const [scale, corner] = [this.scale(), this.corner()]
    return pointAt(this.plane, this.index, place.map((value, axis) => (value - corner[axis]) / scale[axis]))
  }

  /** Zooms by `factor` and keeps what is at `place`. */
  zoomBy(factor, place = [this.canvas.width / 2, this.canvas.height / 2]) {
    const before = this.scale()[0]
    const corner = this.corner()
    this.zoom = Math.min(MOST_ZOOM, Math.max(1, this.zoom * factor))
    const ratio = this.scale()[0] / before
    const wanted = place.map((value, axis) => value - (value - corner[axis]) * ratio)
    const found = this.corner()
    this.shift = this.shift.map((value, axis) => value + wanted[axis] - found[axis])
    if (this.zoom === 1) this.shift = [0, 0]
  }

  moveBy(x, y) {
    const most = [this.canvas.width, this.canvas.height].map((size) => (size * this.zoom) / 2)
    this.shift = [this.shift[0] + x, this.shift[1] + y].map((value, axis) => Math.min(most[axis], Math.max(-most[axis], value)))
  }

  /** Draws the slice and the masks of `objects`, each `{ runs, colour, outlined }`, the last one on top. */
  draw(voxels, window, objects, opacity, interpolated) {
    const context = this.canvas.getContext('2d')
    context.setTransform(1, 0, 0, 1, 0, 0)
    context.fillStyle = '#000'
    context.fillRect(0, 0, this.canvas.width, this.canvas.height)
    this.#drawSlice(voxels, window)
    this.#drawMasks(voxels.shape, objects)
    const [scale, corner] = [this.scale(), this.corner()]
    const target = [...corner, this.plane.size[0] * scale[0], this.plane.size[1] * scale[1]]
    context.imageSmoothingEnabled = interpolated
    context.imageSmoothingQuality = 'high'
    context.drawImage(this.slice, ...target)
    if (opacity === 0) return
    context.imageSmoothingEnabled = false
    context.globalAlpha = opacity
    context.drawImage(this.masks, ...target)
    context.globalAlpha = 1
    this.#drawOutlines(context, voxels.shape, objects, scale, corner)
  }

  #drawSlice(voxels, window) {
    const key = [this.index, window, voxels.loaded.reduce((sum, slice) => sum + slice, 0)].join()
    if (this.sliceKey === key) return
    this.sliceKey = key
    const [width, height] = this.plane.size
    this.sliceData ??= new ImageData(width, height)
    voxels.draw(this.plane, this.index, window, new Uint32Array(this.sliceData.data.buffer))
    this.slice.getContext('2d').putImageData(this.sliceData, 0, 0)
  }

  /** Paints the masks anew if one of those on this slice is another one than before. */
  #drawMasks(shape, objects) {
    const key = [this.index]
    for (const { runs, colour, outlined } of objects) key.push(runs, colour, outlined)
    if (this.masksKey?.length === key.length && key.every((part, at) => part === this.masksKey[at])) return
    this.masksKey = key
    const pictures = objects.map(({ runs }) => this.#picture(shape, runs))
    const context = this.masks.getContext('2d')
    this.outlines = objects.flatMap(({ colour, outlined }, at) =>
      (outlined && pictures[at] ? [{ colour, path: this.#outline(pictures[at]) }] : []))
    const [width, height] = this.plane.size
    context.clearRect(0, 0, width, height)
    const filled = objects.flatMap(({ colour, outlined }, at) => (!outlined && pictures[at] ? [[colour, pictures[at]]] : []))
    this.masksRedrawn += 1
    if (filled.length === 0) return
    this.maskData ??= new ImageData(width, height)
    const pixels = new Uint32Array(this.maskData.data.buffer)
    pixels.fill(0)
    for (const [colour, picture] of filled) {
      const [red, green, blue] = rgb(colour)
      const word = 0xff000000 | (blue << 16) | (green << 8) | red
      for (let at = 0; at < picture.length; at += 1) if (picture[at]) pixels[at] = word
    }
    context.putImageData(this.maskData, 0, 0)
  }

  /** The picture of a mask on this slice, remembered as long as mask and slice stay. */
  #picture(shape, runs) {
    this.pictures ??= new WeakMap()
    const known = this.pictures.get(runs)
    if (known?.index === this.index) return known.picture
    const picture = slicePicture(runs, shape, this.plane, this.index)
    this.pictures.set(runs, { index: this.index, picture })
    return picture
  }

  /** The border of a mask as lines between pixels: x, y, x, y of each. */
  #outline(picture) {
    const [width, height] = this.plane.size
    const lines = []
    const at = (x, y) => x >= 0 && y >= 0 && x < width && y < height && picture[y * width + x] === 1
    for (let y = 0; y < height; y += 1) {
      for (let x = 0; x < width; x += 1) {
        if (!picture[y * width + x]) continue
        if (!at(x, y - 1)) lines.push([x, y, x + 1, y])
        if (!at(x, y + 1)) lines.push([x, y + 1, x + 1, y + 1])
        if (!at(x - 1, y)) lines.push([x, y, x, y + 1])
        if (!at(x + 1, y)) lines.push([x + 1, y, x + 1, y + 1])
      }
    }
    return lines
  }

  #drawOutlines(context, shape, objects, scale, corner) {
    for (const { colour, path } of this.outlines ?? []) {
      context.beginPath()
      for (const [x0, y0, x1, y1] of path) {
        context.moveTo(corner[0] + x0 * scale[0], corner[1] + y0 * scale[1])
        context.lineTo(corner[0] + x1 * scale[0], corner[1] + y1 * scale[1])
      }
      context.strokeStyle = colour
      context.lineWidth = 2 * devicePixelRatio
      context.stroke()
    }
  }
}
