// The controls around the image: they show what is, and tell what is wanted.
import { TOOLS } from './strokes.js'

/** Window presets: name, level and width in Hounsfield units. */
const WINDOWS = [
  ['Soft tissue', 40, 400],
  ['Liver', 60, 160],
  ['Lung', -600, 1500],
  ['Bone', 400, 1800],
  ['Mediastinum', 50, 350],
  ['Brain', 40, 80],
  ['Full range'],
]
const CUSTOM = 'custom'

export const byId = (id) => document.getElementById(id)

/** The lowest and highest value of a preset; undefined for the full range. */
export function windowOf(number) {
  const [, level, width] = WINDOWS[number]
  return level === undefined ? undefined : [level - width / 2, level + width / 2]
}

/** Calls `handler` for a click on each of the elements. */
function onClick(handlers) {
  for (const [id, handler] of Object.entries(handlers)) byId(id).addEventListener('click', () => handler())
}

export class Panel {
  /** `on` has a function for each thing that can be wanted. */
  constructor(on) {
    this.on = on
    byId('window').replaceChildren(...WINDOWS.map(([name, level, width], at) => {
      const range = level === undefined ? '' : ` (${level} / ${width})`
      return new Option(`${at + 1}  ${name}${range}`, String(at))
    }), new Option('As set below', CUSTOM))
    byId('tool-buttons').replaceChildren(...Object.entries(TOOLS).map(([name, { title, key }]) => {
      const button = document.createElement('button')
      Object.assign(button, { type: 'button', textContent: title, title: `${title} (${key})` })
      button.dataset.tool = name
      button.setAttribute('role', 'radio')
      button.addEventListener('click', () => on.tool(name))
      return button
    }))
    byId('study').addEventListener('change', (event) => event.target.value && on.study(event.target.value))
    this.#files('open', (files) => on.files(files[0].name, files))
    this.#files('folder', (files) => on.files(files[0].webkitRelativePath.split('/')[0], files))
    this.#files('mask-file', (files) => on.maskFile(files[0]))
    onClick({
      'new-object': on.newObject,
      'copy-object': on.copyObject,
      'saved-label': on.savedLabel,
      inside: () => on.mode(false),
      outside: () => on.mode(true),
      undo: on.undo,
      redo: on.redo,
      'to-diameter': on.toDiameter,
      'clear-ruler': on.clearRuler,
      'zoom-in': () => on.zoom(1.25),
      'zoom-out': () => on.zoom(0.8),
      'zoom-reset': () => on.zoom(undefined),
      'next-mask': () => on.nextMask(1),
      'previous-mask': () => on.nextMask(-1),
      'show-3d': on.show3d,
      'save-label': on.saveLabel,
      session: on.session,
      store: on.store,
      help: () => byId('help-dialog').showModal(),
    })
    byId('threshold').addEventListener('input', (event) => on.threshold(Number(event.target.value)))
    byId('width').addEventListener('input', (event) => on.width(Number(event.target.value)))
    byId('planes').addEventListener('click', (event) => event.target.dataset.plane && on.plane(event.target.dataset.plane))
    byId('window').addEventListener('change', (event) => event.target.value !== CUSTOM && on.window(Number(event.target.value)))
    for (const id of ['level', 'width-hu']) {
      byId(id).addEventListener('change', () => {
        const [level, width] = [Number(byId('level').value), Number(byId('width-hu').value)]
        if (Number.isFinite(level) && width > 0) on.windowed([level - width / 2, level + width / 2])
      })
    }
    byId('opacity').addEventListener('input', (event) => on.opacity(Number(event.target.value)))
    for (const button of document.querySelectorAll('.download')) {
      button.addEventListener('click', () => on.download(button.dataset.format))
    }
    this.#listenForDrops()
  }

  /** The studies to choose from; one with a saved label says so. */
  studies(list) {
    const study = byId('study')
    const { value } = study
    study.replaceChildren(new Option(list.length ? 'Choose a study' : 'No studies listed', ''))
    for (const { id, name, saved, is_archived: isArchived } of list) {
      // A series of an archive has a number for a name; what it is tells more.
      const text = isArchived ? name : id
      study.add(new Option(saved ? `${text} ✓ saved ${when(saved)}` : text, id))
    }
    study.disabled = list.length === 0
    study.value = value
    this.archived = new Set(list.filter(({ is_archived: isArchived }) => isArchived).map(({ id }) => id))
  }

  /** What the weights cannot use, and why. */
  accepts({ negative_clicks: negative, negative_refused: noNegative, shapes, shapes_refused: noShapes, keeps_labels: keeps }) {
    byId('outside').disabled = !negative && !shapes
    for (const button of document.querySelectorAll('[data-tool]')) {
      if (TOOLS[button.dataset.tool].shapes && !shapes) {
        button.disabled = true
        button.title = noShapes
      }
    }
    const notes = [negative ? '' : `Outside is off: ${noNegative}.`, shapes ? '' : `Box, lasso and scribble are off: ${noShapes}.`]
    byId('refused-note').textContent = notes.filter(Boolean).join(' ')
    byId('refused-note').hidden = negative && shapes
    this.keepsLabels = keeps
    byId('save-label').disabled = true
  }

  tool(name, isOutside) {
    for (const button of document.querySelectorAll('[data-tool]')) {
      button.setAttribute('aria-checked', String(button.dataset.tool === name))
    }
    byId('width-label').classList.toggle('unused', !TOOLS[name].width)
    byId('inside').setAttribute('aria-pressed', String(!isOutside))
    byId('outside').setAttribute('aria-pressed', String(isOutside))
    byId('view').dataset.tool = name
  }

  width(width) {
    byId('width').value = String(width)
    byId('width-value').textContent = String(width)
  }

  opened(name, study, saved) {
    byId('empty').hidden = true
    byId('study').value = study ?? ''
    document.title = `${study ?? name} - sam3d`
    byId('saved-label').disabled = !saved
    byId('store-row').hidden = !this.archived?.has(study)
  }

  /** Nothing is shown: neither an image nor the name of one. */
  closed() {
    byId('empty').hidden = false
    byId('study').value = ''
    byId('location').textContent = ''
    byId('saved-label').disabled = true
    document.title = 'sam3d'
  }

  location(ijk, value) {
    const hu = value === undefined ? '' : `: ${Number(value.toFixed(1))} HU`
    byId('location').textContent = `${ijk.join(', ')}${hu}`
  }

  plane(plane) {
    for (const button of byId('planes').children) {
      button.setAttribute('aria-pressed', String(button.dataset.plane === plane))
    }
  }

  /** The range of values that is shown, and the preset it is of, if any. */
  window([low, high], number) {
    byId('window').value = number === undefined ? CUSTOM : String(number)
    byId('level').value = String(Math.round((low + high) / 2))
    byId('width-hu').value = String(Math.round(high - low))
  }

  opacity(opacity) {
    byId('opacity').value = String(opacity)
    byId('opacity-value').textContent = `${Math.round(opacity * 100)} %`
  }

  /** Idle or busy, in words; `share` of 1 is done, undefined is unknown. */
  status(text, busy = false, share = undefined) {
    const status = byId('status')
    if (status.textContent !== text) status.textContent = text
    status.dataset.state = busy ? 'busy' : 'idle'
    /** The last words that were not of something under way. */
    if (!busy) this.said = text
    const progress = byId('progress')
    progress.hidden = !busy
    if (share === undefined) progress.removeAttribute('value')
    else progress.value = share
  }

  error(text) {
    byId('error').textContent = text
  }

  /** Whether the server keeps what was done: `kept`, `lost` or `none`. */
  kept(state, text = '') {
    byId('kept').dataset.state = state
    byId('kept').textContent = text
  }

  /** Whether what is shown can be saved, undone and redone. */
  can({ save, undo, redo, copy }) {
    for (const button of document.querySelectorAll('.download, #session, #store')) button.disabled = !save
    byId('save-label').disabled = !save || !this.keepsLabels
    byId('undo').disabled = !undo
    byId('redo').disabled = !redo
    byId('copy-object').disabled = !copy
  }

  /** Asks which of `choices`, each `[value, text]`; undefined if none. */
  choose(title, text, choices) {
    const dialog = byId('choice-dialog')
    byId('choice-title').textContent = title
    byId('choice-text').textContent = text
    byId('choices').replaceChildren(...[...choices, ['', 'Cancel']].map(([value, words]) =>
      Object.assign(document.createElement('button'), { value, textContent: words })))
    dialog.returnValue = ''
    dialog.showModal()
    return new Promise((resolve) => dialog.addEventListener('close', () => resolve(dialog.returnValue || undefined), { once: true }))
  }

  #files(id, handler) {
    byId(id).addEventListener('change', (event) => {
      const files = [...event.target.files]
      event.target.value = ''
      if (files.length) handler(files)
    })
  }

  #listenForDrops() {
    const stage = byId('stage')
    const over = (event, inside) => {
      event.preventDefault()
      stage.classList.toggle('dropping', inside)
    }
    for (const type of ['dragenter', 'dragover']) document.addEventListener(type, (event) => over(event, true))
    document.addEventListener('dragleave', (event) => over(event, false))
    document.addEventListener('drop', (event) => {
      over(event, false)
      if (event.dataTransfer?.files.length) this.on.drop(event.dataTransfer)
    })
  }
}

/** Asks for the token. */
export function askToken() {
  const dialog = byId('token-dialog')
  const input = byId('token')
  input.value = ''
  dialog.showModal()
  return new Promise((resolve) => dialog.addEventListener('close', () => resolve(input.value.trim()), { once: true }))
}

function when(seconds) {
  return new Date(seconds * 1000).toLocaleString([], { dateStyle: 'short', timeStyle: 'short' })
}
