// A folder, a zip or several files of a DICOM series, as one archive that the server takes.

const VOLUME = /\.(nii|nii\.gz|nrrd|mha)$/i
const BLOCK = 512
/** Entries of a zip's directory that are read: sizes beyond them are refused. */
const MOST_FILES = 20000

/** The files that were dropped, those in folders included. */
export async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean)
  const lone = [...transfer.files]
  if (!entries.some((entry) => entry.isDirectory)) return { name: lone[0]?.name, files: lone }
  const files = []
  const visit = async (entry) => {
    if (entry.isFile) {
      files.push(await new Promise((resolve, reject) => entry.file(resolve, reject)))
      return
    }
    const reader = entry.createReader()
    for (;;) {
      // A reader gives a hundred entries at a time.
      const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject))
      if (some.length === 0) return
      for (const inner of some) await visit(inner)
    }
  }
  for (const entry of entries) await visit(entry)
  return { name: entries[0].name, files }
}

/** What is to be sent of `files`: `{ name, content, packing }`. */
export async function packed(name, files) {
  let inside = files
  if (files.length === 1 && /\.zip$/i.test(files[0].name)) inside = await unzipped(files[0])
  inside = inside.filter((file) => !/(^|\/)(\.|__MACOSX|DICOMDIR$)/.test(file.name))
  const volume = inside.find((file) => VOLUME.test(file.name))
  if (inside.length === 1 && (volume || !/\.zip$/i.test(files[0].name))) {
    return { name: inside[0].name.split('/').at(-1), content: inside[0], packing: 'none' }
  }
  if (volume) throw new Error(`${name}: choose one volume, or the folder of one DICOM series.`)
  if (inside.length === 0) throw new Error(`${name}: there is no file in it.`)
  if (inside.length > MOST_FILES) throw new Error(`${name}: more than ${MOST_FILES} files.`)
  return { name, content: tarOf(inside), packing: 'tar' }
}

/** The files as a tar archive, which refers to them and does not copy them. */
function tarOf(files) {
  const parts = []
  const encoder = new TextEncoder()
  files.forEach((file, number) => {
    const header = new Uint8Array(BLOCK)
    const put = (at, text) => header.set(encoder.encode(text), at)
    put(0, `file${number}`)
    put(100, '0000600\0')
    put(108, '0000000\0')
    put(116, '0000000\0')
    put(124, `${file.size.toString(8).padStart(11, '0')}\0`)
    put(136, '00000000000\0')
    put(148, '        ')
    put(156, '0')
    put(257, 'ustar\u000000')
    const sum = header.reduce((total, byte) => total + byte, 0)
    put(148, `${sum.toString(8).padStart(6, '0')}\0 `)
    parts.push(header, file, new Uint8Array((BLOCK - (file.size % BLOCK)) % BLOCK))
  })
  parts.push(new Uint8Array(2 * BLOCK))
  return new Blob(parts)
}

/** The files in a zip, each unpacked by the browser. */
async function unzipped(zip) {
  const damaged = () => new Error(`${zip.name}: not a complete zip.`)
  const view = async (start, end) => new DataView(await zip.slice(start, end).arrayBuffer())
  const tailStart = Math.max(0, zip.size - 65557)
  const tail = await view(tailStart, zip.size)
  let at = tail.byteLength - 22
  while (at >= 0 && tail.getUint32(at, true) !== 0x06054b50) at -= 1
  if (at < 0) throw damaged()
  const [entries, size, start] = [tail.getUint16(at + 10, true), tail.getUint32(at + 12, true), tail.getUint32(at + 16, true)]
  if (entries === 0xffff || start === 0xffffffff) throw new Error(`${zip.name}: a zip beyond 4 GiB; drop the folder instead.`)
  const directory = await view(start, start + size)
  const files = []
  for (let entry = 0, place = 0; entry < entries; entry += 1) {
    if (place + 46 > directory.byteLength || directory.getUint32(place, true) !== 0x02014b50) throw damaged()
    const field = (offset) => directory.getUint16(place + offset, true)
    const [method, packedSize, offset] = [field(10), directory.getUint32(place + 20, true), directory.getUint32(place + 42, true)]
    const lengths = [28, 30, 32].map(field)
    const name = new TextDecoder().decode(new Uint8Array(directory.buffer, place + 46, lengths[0]))
    place += 46 + lengths[0] + lengths[1] + lengths[2]
    if (name.endsWith('/')) continue
    const local = await view(offset, offset + 30)
    const from = offset + 30 + local.getUint16(26, true) + local.getUint16(28, true)
    const content = zip.slice(from, from + packedSize)
    if (method !== 0 && method !== 8) throw new Error(`${zip.name}: ${name} is packed in a way that is not supported.`)
    const plain = method === 0 ? content : await inflated(content, damaged)
    files.push(new File([plain], name))
  }
  return files
}

async function inflated(content, damaged) {
  try {
    return await new Response(content.stream().pipeThrough(new DecompressionStream('deflate-raw'))).blob()
  } catch {
    throw damaged()
  }
}
