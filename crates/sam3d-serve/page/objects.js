// The objects of a segmentation and their clicks.

const COLOURS = ['#ff8c00', '#00c2a8', '#e35bd8', '#6aa8ff', '#d8d000', '#ff6b6b', '#8fd14f', '#b39ddb']

/** Objects, one of which takes the clicks. */
export class Objects {
  constructor(target) {
    this.target = target
    this.clear()
  }

  clear() {
    this.list = []
    this.made = 0
    this.add()
  }

  /** A new object, which becomes the active one. */
  add() {
    const name = this.made === 0 ? this.target : `${this.target} ${this.made + 1}`
    const object = {
      id: this.made,
      name,
      colour: COLOURS[this.made % COLOURS.length],
      clicks: [],
      threshold: 0.5,
      runs: [],
      voxels: 0,
      volumeMl: 0,
      request: undefined,
    }
    this.made += 1
    this.list.push(object)
    this.active = object
    return object
  }

  remove(object) {
    object.request?.abort()
    this.list = this.list.filter((other) => other !== object)
    if (this.list.length === 0) this.add()
    else if (this.active === object) this.active = this.list.at(-1)
  }

  /** The objects with a click, as the server takes them. */
  sent() {
    return this.list
      .filter((object) => object.clicks.length > 0)
      .map(({ name, colour, clicks, threshold }) => ({ name, colour: rgb(colour).map((value) => value / 255), clicks, threshold }))
  }
}

/** Red, green and blue from 0 to 255. */
export function rgb(colour) {
  return [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16))
}
