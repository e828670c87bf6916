// Every route of a server, by profile.
import type { ComfyProfile } from '../node-definition.ts';
import type { Route } from './route.ts';
import { controlRoutes } from './routes/control-routes.ts';
import { internalRoutes } from './routes/internal-routes.ts';
import { jobRoutes } from './routes/job-routes.ts';
import { objectInfoRoutes } from './routes/object-info-routes.ts';
import { promptRoutes } from './routes/prompt-routes.ts';
import { queueRoutes } from './routes/queue-routes.ts';
import { systemRoutes } from './routes/system-routes.ts';
import { uploadRoutes } from './routes/upload-routes.ts';
import { userRoutes } from './routes/user-routes.ts';
import { viewRoutes } from './routes/view-routes.ts';

/** The table a new life of the server starts with; counters in it are fresh. */
export function allRoutes(profile: ComfyProfile): Route[] {
  return [
    ...promptRoutes(),
    ...queueRoutes(),
    ...controlRoutes(),
    ...uploadRoutes(),
    ...viewRoutes(),
    ...objectInfoRoutes(),
    ...systemRoutes(),
    ...userRoutes(),
    ...internalRoutes(),
    ...(profile === 'late-2026' ? jobRoutes() : []),
  ];
}
