// The panel beside the image: shows what is, tells what is wanted.

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

const byId = (id) => document.getElementById(id)

/** The lowest and highest value of a preset; undefined for the full range. */
export function windowOf(number) {
  const [, level, width] = WINDOWS[number]
  return level === undefined ? undefined : [level - width / 2, level + width / 2]
}

export class Panel {
  /** `on` has study, file, newObject, select, rename, recolour, remove, mode, undo, threshold, plane, window, opacity, download, session. */
  constructor(on) {
    this.on = on
    byId('window').replaceChildren(...WINDOWS.map(([name, level, width], at) => {
      const range = level === undefined ? '' : ` (${level} / ${width})`
      return new Option(`${at + 1}  ${name}${range}`, String(at))
    }))
    byId('study').addEventListener('change', (event) => event.target.value && on.study(event.target.value))
    byId('open').addEventListener('change', (event) => {
      if (event.target.files[0]) on.file(event.target.files[0])
      event.target.value = ''
    })
    byId('new-object').addEventListener('click', () => on.newObject())
    byId('inside').addEventListener('click', () => on.mode(false))
    byId('outside').addEventListener('click', () => on.mode(true))
    byId('undo').addEventListener('click', () => on.undo())
    byId('threshold').addEventListener('input', (event) => on.threshold(Number(event.target.value)))
    byId('planes').addEventListener('click', (event) => {
      if (event.target.dataset.plane) on.plane(event.target.dataset.plane)
    })
    byId('window').addEventListener('change', (event) => on.window(Number(event.target.value)))
    byId('opacity').addEventListener('input', (event) => on.opacity(Number(event.target.value)))
    for (const button of document.querySelectorAll('.download')) {
      button.addEventListener('click', () => on.download(button.dataset.format))
    }
    byId('session').addEventListener('click', () => on.session())
    byId('help').addEventListener('click', () => byId('help-dialog').showModal())
    this.#listenForFiles()
  }

  /** The studies to choose from. */
  studies(list) {
    const study = byId('study')
    study.replaceChildren(new Option(list.length ? 'Choose a study' : 'No studies listed', ''))
    for (const { id } of list) study.add(new Option(id, id))
    study.disabled = list.length === 0
  }

  /** Whether clicks outside the target can be used; if not, why. */
  negativeClicks(possible, reason) {
    byId('outside').disabled = !possible
    byId('negative-note').hidden = possible
    byId('negative-note').textContent = possible ? '' : `Outside is off: ${reason}.`
  }

  opened(name, study) {
    byId('empty').hidden = true
    byId('study').value = study ?? ''
    document.title = `${study ?? name} - sam3d`
  }

  /** Nothing is shown: neither an image nor the name of one. */
  closed() {
    byId('empty').hidden = false
    byId('study').value = ''
    byId('location').textContent = ''
    document.title = 'sam3d'
  }

  location(ijk, value) {
    byId('location').textContent = `${ijk.join(', ')}: ${Number(value.toFixed(1))} HU`
  }

  mode(negative) {
    byId('inside').setAttribute('aria-pressed', String(!negative))
    byId('outside').setAttribute('aria-pressed', String(negative))
  }

  plane(plane) {
    for (const button of byId('planes').children) {
      button.setAttribute('aria-pressed', String(button.dataset.plane === plane))
    }
  }

  window(number) {
    byId('window').value = String(number)
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
    const progress = byId('progress')
    progress.hidden = !busy
    if (share === undefined) progress.removeAttribute('value')
    else progress.value = share
  }

  error(text) {
    byId('error').textContent = text
  }

  objects(objects) {
    const { list, active } = objects
    byId('objects').replaceChildren(...list.map((object) => this.#row(object, object === active)))
    byId('clicks').replaceChildren(...active.clicks.map(({ ijk, label }) => {
      const item = document.createElement('li')
      item.textContent = `${label === 'positive' ? '+' : '−'} ${ijk.join(', ')}`
      return item
    }))
    byId('undo').disabled = active.clicks.length === 0
    byId('threshold').value = String(active.threshold)
    byId('threshold-value').textContent = active.threshold.toFixed(2)
    // What is shown can be saved; while an answer is awaited, something else is about to be shown.
    const ready = list.some((object) => object.answered) && list.every((object) => !object.request)
    for (const button of document.querySelectorAll('.download, #session')) button.disabled = !ready
  }

  #row(object, active) {
    const row = document.createElement('li')
    row.classList.toggle('active', active)
    const input = (type, label, value, event, handler) => {
      const element = document.createElement('input')
      element.type = type
      element.value = value
      element.setAttribute('aria-label', label)
      element.addEventListener(event, () => handler(element.value))
      return element
    }
    const radio = input('radio', `Click into ${object.name}`, String(object.id), 'change', () => this.on.select(object))
    radio.name = 'active'
    radio.checked = active
    const colour = input('color', `Colour of ${object.name}`, object.colour, 'input', (value) => this.on.recolour(object, value))
    const name = input('text', 'Name', object.name, 'change', (value) => this.on.rename(object, value))
    name.maxLength = 60
    const volume = document.createElement('span')
    volume.className = 'volume'
    volume.textContent = `${object.volumeMl.toFixed(2)} ml`
    const remove = document.createElement('button')
    remove.type = 'button'
    remove.textContent = '×'
    remove.setAttribute('aria-label', `Remove ${object.name}`)
    remove.addEventListener('click', () => this.on.remove(object))
    row.append(radio, colour, name, volume, remove)
    return row
  }

  #listenForFiles() {
    const stage = byId('stage')
    const over = (event, inside) => {
      event.preventDefault()
      stage.classList.toggle('dropping', inside)
    }
    for (const type of ['dragenter', 'dragover']) document.addEventListener(type, (event) => over(event, true))
    document.addEventListener('dragleave', (event) => over(event, false))
    document.addEventListener('drop', (event) => {
      over(event, false)
      const file = event.dataTransfer?.files[0]
      if (file) this.on.file(file)
    })
  }
}
