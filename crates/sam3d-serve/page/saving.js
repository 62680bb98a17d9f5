// Files for the user, and the label on the server. What is saved is what is shown, by the hashes of its masks.
import * as server from './server.js'
import { count, intersection } from './runs.js'

/** Gives a file to the user. */
function give(content, name) {
  const link = document.createElement('a')
  link.href = URL.createObjectURL(content)
  link.download = name
  link.click()
  setTimeout(() => URL.revokeObjectURL(link.href), 10000)
}

/** Two objects with voxels in common, and how many; undefined if there are none. */
function overlapping(objects, answers) {
  const shown = objects.filter((object) => answers.of(object).voxels > 0)
  for (const [at, second] of shown.entries()) {
    for (const first of shown.slice(0, at)) {
      const voxels = count(intersection(answers.runs(first), answers.runs(second)))
      if (voxels > 0) return { first, second, voxels }
    }
  }
  return undefined
}

/** How many objects a file has, the hidden ones among them. */
function counted(history, answers) {
  const saved = history.objects.filter((object) => answers.of(object).voxels > 0)
  const hidden = saved.filter(({ visible }) => !visible).length
  return `${saved.length} ${saved.length === 1 ? 'object' : 'objects'}${hidden ? `, ${hidden} of them hidden` : ''}`
}

/** Downloads all objects as one file. Returns what to say of it; undefined if the user decides otherwise. */
export async function download(format, { image, name, history, answers, panel }) {
  const asked = { format, objects: answers.sent() }
  const common = format === '.nii.gz' ? overlapping(history.objects, answers) : undefined
  if (common) {
    const chosen = await panel.choose(
      'Objects overlap',
      `${common.voxels} voxels belong to ${common.first.name} and to ${common.second.name}. NIfTI has one label for each voxel.`,
      [['.seg.nrrd', 'Keep both, as seg.nrrd'], ['later', 'NIfTI, later objects of the list over earlier ones']],
    )
    if (!chosen) return undefined
    if (chosen === 'later') asked.overlap = 'later_over_earlier'
    else asked.format = chosen
  }
  panel.status('Writing the file', true)
  give(await server.file(`api/segmentation?${image}`, asked), `${name}_mask${asked.format}`)
  return `Downloaded: ${counted(history, answers)}`
}

/** Stores all objects as a DICOM segmentation beside the series, in the archive. Returns what to say of it. */
export async function store({ image, history, answers, panel }) {
  panel.status('Storing the segmentation in the archive', true)
  await server.post(`api/archive/store?${image}`, { format: '.dcm', objects: answers.sent() })
  return `Stored in the archive: ${counted(history, answers)}`
}

/** Keeps all objects as the label of the image, on the server. Returns what to say of it. */
export async function saveLabel({ image, history, answers, panel }) {
  panel.status('Saving the label', true)
  await server.post(`api/label?${image}`, { objects: answers.sent() })
  return `Label saved: ${counted(history, answers)}`
}

/** Downloads the session log of each object that has prompts. Returns what to say of it. */
export function downloadSessions({ name, history, answers }) {
  const shown = history.objects.map((object) => ({ object, answer: answers.of(object) })).filter(({ answer }) => answer.log)
  for (const [at, { object, answer }] of shown.entries()) {
    // Two objects may have one name.
    const part = shown.length > 1 ? `_${at + 1}_${object.name.replace(/[^\w-]+/g, '_')}` : ''
    give(new Blob([JSON.stringify(answer.log, null, 2)], { type: 'application/json' }), `${name}${part}_session.json`)
  }
  if (shown.length === 0) return 'There are no prompts: what is painted by hand is not part of a session'
  const edited = shown.some(({ answer }) => answer.edits.length > 0) ? ', without what was painted by hand' : ''
  return `${shown.length > 1 ? `${shown.length} sessions` : 'Session'} downloaded${edited}`
}
