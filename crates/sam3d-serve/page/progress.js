// How far a request for a mask is, and a series that the archive sends, in words.
import { get } from './server.js'

const LOOK_EVERY_MS = 1000

/** Tells `say` how far the archive's series `study` has been fetched, until `answer` comes; returns the answer. */
export async function whileFetched(study, answer, say) {
  let isWaiting = true
  const look = async () => {
    for (;;) {
      await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS))
      const { fetching } = isWaiting ? await get('api/state') : {}
      if (!isWaiting || !fetching) return
      const found = fetching.find(({ series }) => series === study)
      if (!found) continue
      const { instances, expected, bytes } = found
      const images = expected ? `${instances} of ${expected}` : instances
      say(`Fetching the series: ${images} images, ${(bytes / 2 ** 20).toFixed(0)} MiB`, expected ? Math.min(instances / expected, 1) : undefined)
    }
  }
  // A look that fails says nothing: the answer tells what went wrong.
  if (study) look().catch(() => {})
  try {
    return await answer
  } finally {
    isWaiting = false
  }
}

export class Progress {
  constructor(panel) {
    this.panel = panel
    this.running = new Map()
    setInterval(() => this.#show(), 200)
  }

  clear() {
    this.running.clear()
  }

  get isBusy() {
    return this.running.size > 0
  }

  /** The server says that the request of the object `id` is at `line`. */
  at(id, line) {
    if (line.stage === 'done' || line.stage === 'failed') return
    const known = this.running.get(id)
    const start = known && known.line.stage !== line.stage && line.stage === 'waiting' ? performance.now() : known?.start
    this.running.set(id, { line, start: start ?? performance.now() })
    this.#show()
  }

  done(id, encoderSeconds) {
    this.encoderSeconds = encoderSeconds ?? this.encoderSeconds
    this.running.delete(id)
  }

  #show() {
    const [first] = this.running.values()
    if (!first) return
    const { line, start } = first
    const seconds = (performance.now() - start) / 1000
    const words = {
      waiting: line.ahead ? `Waiting, ${line.ahead} before this` : 'Waiting for the network',
      encoding: `Encoding this region, ${seconds.toFixed(0)} s`,
      decoding: 'Computing the mask',
    }
    // What is known of the encoder's time is what it took last.
    const share = line.stage === 'encoding' && this.encoderSeconds ? Math.min(seconds / this.encoderSeconds, 0.95) : undefined
    this.panel.status(words[line.stage] ?? '', true, share)
  }
}
