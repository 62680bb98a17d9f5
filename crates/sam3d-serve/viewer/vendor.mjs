// Makes ../page/vendor: NiiVue in one minified file, the licences of what is in it, and checksums.
//
//   npm ci && npm run vendor     writes them
//   npm ci && npm run check      fails if they are not what these versions give
import { build } from 'esbuild'
import { createHash } from 'node:crypto'
import { readFileSync, readdirSync, writeFileSync, mkdirSync, existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const here = dirname(fileURLToPath(import.meta.url))
const out = join(here, '..', 'page', 'vendor')

// Only Zarr needs these decoders, which are WebAssembly: left out, the page needs no permission to compile any.
const withoutZarrDecoders = {
  name: 'without-zarr-decoders',
  setup(bundler) {
    bundler.onResolve({ filter: /^numcodecs(\/|$)/ }, ({ path }) => ({ path, namespace: 'left-out' }))
    bundler.onLoad({ filter: /.*/, namespace: 'left-out' }, () => ({ contents: 'export default undefined' }))
  },
}

const result = await build({
  stdin: {
    contents: "export { Niivue, NVImage, SLICE_TYPE, DRAG_MODE, SHOW_RENDER, MULTIPLANAR_TYPE } from '@niivue/niivue'",
    resolveDir: here,
  },
  bundle: true,
  minify: true,
  format: 'esm',
  target: 'es2022',
  legalComments: 'none',
  metafile: true,
  write: false,
  plugins: [withoutZarrDecoders],
})

const inputs = Object.keys(result.metafile.inputs)
const packages = [...new Set(inputs.map((path) => path.match(/.*node_modules\/((?:@[^/]+\/)?[^/]+)/)?.[1]).filter(Boolean))]
const licences = packages.sort().map((name) => {
  const directory = join(here, 'node_modules', name)
  const { version, license } = JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8'))
  const file = readdirSync(directory).find((entry) => /^licen[cs]e/i.test(entry))
  // Packages without a file of their own are covered by the text kept here.
  const own = join(here, 'licences', `${name.replace('/', '-')}.txt`)
  const text = file ? readFileSync(join(directory, file), 'utf8') : existsSync(own) ? readFileSync(own, 'utf8') : undefined
  if (text === undefined) throw new Error(`${name} ${version}: no licence text; add licences/${name.replace('/', '-')}.txt`)
  return `${name} ${version} (${license})\n\n${text.trim()}\n`
})

const files = {
  'niivue.js': Buffer.from(result.outputFiles[0].contents),
  'LICENSES.txt': Buffer.from(licences.join(`\n${'-'.repeat(72)}\n\n`)),
}
const sums = Object.entries(files).map(
  ([name, content]) => `${createHash('sha256').update(content).digest('hex')}  ${name}\n`,
)
files['SHA256SUMS'] = Buffer.from(sums.join(''))

mkdirSync(out, { recursive: true })
for (const [name, content] of Object.entries(files)) {
  const path = join(out, name)
  if (!process.argv.includes('--check')) writeFileSync(path, content)
  else if (!readFileSync(path).equals(content)) throw new Error(`${path} is not what vendor.mjs makes`)
}
console.log(`${packages.length} packages, ${files['niivue.js'].length} bytes`)
