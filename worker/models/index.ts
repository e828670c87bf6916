/** Models: where they may lie, how they get there. See docs/models.md. */
export { writeExtraPaths } from './extra-paths.ts';
export { firstWritable, type ModelPlaces } from './model-places.ts';
export { type ModelState, type ModelStoreOptions, provideModels } from './model-store.ts';
export { pinModels } from './pin-models.ts';
export { warmFiles } from './warm-files.ts';
