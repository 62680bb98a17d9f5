// The keyboard.
import { TOOLS } from './strokes.js'

/** Listens for the keys of `on`, which has a function for each thing that can be wanted. */
export function listenForKeys(on) {
  const keys = {
    n: on.newObject,
    u: on.undo,
    x: on.toggleMode,
    m: on.toggleMasks,
    v: () => on.plane('all'),
    a: () => on.plane('axial'),
    c: () => on.plane('coronal'),
    s: () => on.plane('sagittal'),
    d: () => on.plane('render'),
    j: (event) => on.nextMask(event.shiftKey ? -1 : 1),
    '[': () => on.thresholdBy(-1),
    ']': () => on.thresholdBy(1),
    ',': () => on.widthBy(-1),
    '.': () => on.widthBy(1),
    '+': () => on.zoom(1.25),
    '=': () => on.zoom(1.25),
    '-': () => on.zoom(0.8),
    0: () => on.zoom(undefined),
    '?': on.help,
    Escape: on.cancel,
    PageUp: () => on.nextSlice(1),
    PageDown: () => on.nextSlice(-1),
  }
  for (const [name, { key }] of Object.entries(TOOLS)) keys[key.toLowerCase()] = () => on.tool(name)
  /** Keys that belong to the image while it has the focus, and to whatever else has it otherwise. */
  const imageKeys = {
    // In radiological convention the patient's right is on the left.
    ArrowLeft: () => on.step(1, 0, 0),
    ArrowRight: () => on.step(-1, 0, 0),
    ArrowUp: () => on.step(0, 1, 0),
    ArrowDown: () => on.step(0, -1, 0),
    Enter: (event) => on.clickHere(event.altKey),
  }
  document.addEventListener('keydown', (event) => {
    const { target, key } = event
    const letter = key.length === 1 ? key.toLowerCase() : key
    if (document.querySelector('dialog[open]') || target.matches('input[type="text"], input[type="number"], input[type="password"], select')) return
    let action
    if (event.ctrlKey || event.metaKey) {
      if (letter === 'z') action = event.shiftKey ? on.redo : on.undo
      if (letter === 'y') action = on.redo
    } else {
      const onImage = target.id === 'view'
      action = (onImage && imageKeys[key]) || keys[letter] || (/^[1-7]$/.test(key) && (() => on.window(Number(key) - 1)))
    }
    if (!action) return
    event.preventDefault()
    action(event)
  }, { capture: true })
}
