// Where pointer or crosshair rest a click is expected: the server encodes the region, so that the click need not wait for it.
import * as server from './server.js'

const REST_MS = 500

export class Ahead {
  /** `expected()` gives the image's address and the clicks of the object with the one that is expected, or nothing. */
  constructor(expected) {
    this.expected = expected
  }

  /** Pointer or crosshair moved. */
  moved() {
    clearTimeout(this.timer)
    this.timer = setTimeout(() => this.#rested(), REST_MS)
  }

  /** The image is closed. */
  stop() {
    clearTimeout(this.timer)
    this.request?.abort()
  }

  #rested() {
    const expected = this.expected()
    if (!expected) return
    this.request?.abort()
    this.request = new AbortController()
    server.encodeAhead(expected.image, expected.clicks, this.request.signal)
  }
}
