// Finds the handler of a path (ComfyUI protocol notes §1.1 "Prefix"): every route also below `/api`, GET routes also answer HEAD.
import type { IncomingMessage, ServerResponse } from 'node:http';
import findMyWay, { type HTTPMethod } from 'find-my-way';
import type { Route } from './route.ts';

/** A hit, or why there is none. */
export type RouteMatch =
  | { readonly kind: 'found'; readonly route: Route; readonly params: Readonly<Record<string, string | undefined>> }
  | { readonly kind: 'wrong-method'; readonly allowed: readonly string[] }
  | { readonly kind: 'unknown' };

const METHODS: readonly HTTPMethod[] = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'];

/** The table of all routes. */
export class Router {
  private readonly table = findMyWay({ maxParamLength: 10_000 });
  private readonly routes = new Map<unknown, Route>();

  constructor(routes: readonly Route[]) {
    for (const route of routes) {
      for (const prefix of route.unprefixed === true ? [''] : ['', '/api']) {
        const methods: HTTPMethod[] = route.method === 'GET' ? ['GET', 'HEAD'] : [route.method];
        for (const method of methods) {
          const store = { route };
          this.table.on(method, prefix + route.path, unused, store);
          this.routes.set(store, route);
        }
      }
    }
  }

  match(method: string, path: string): RouteMatch {
    const hit = METHODS.includes(method as HTTPMethod) ? this.find(method as HTTPMethod, path) : null;
    const route = this.routes.get(hit?.store);
    if (hit !== null && route !== undefined) return { kind: 'found', route, params: hit.params };
    const allowed = METHODS.filter((other) => this.find(other, path) !== null);
    return allowed.length > 0 ? { kind: 'wrong-method', allowed } : { kind: 'unknown' };
  }

  /** Empty parameters do not match: `/models/` is not `/models/{folder}`. */
  private find(method: HTTPMethod, path: string) {
    const hit = this.table.find(method, path);
    return hit === null || Object.values(hit.params).includes('') ? null : hit;
  }
}

function unused(_request: IncomingMessage, _response: ServerResponse): void {
  // The table is only asked, never run.
}
