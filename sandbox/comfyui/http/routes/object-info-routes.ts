// `/object_info` (ComfyUI protocol notes §1.10): declarations re-evaluated at every call; one that raises is logged and left
// out of the full form, but fails the single form.

import { pythonErrorInfo } from '../../python-error.ts';
import { pyFloat } from '../../python-number.ts';
import type { ServerContext } from '../../server-context.ts';
import { type Answer, jsonAnswer } from '../answers.ts';
import type { Route, RouteRequest } from '../route.ts';

async function declarationOf(classType: string, context: ServerContext): Promise<unknown> {
  const definition = context.registry.get(classType);
  return definition === undefined ? undefined : await context.registry.declare(definition);
}

async function all(_request: RouteRequest, context: ServerContext): Promise<Answer> {
  const out = new Map<string, unknown>();
  for (const classType of context.registry.classTypes()) {
    try {
      out.set(classType, await declarationOf(classType, context));
    } catch (error) {
      context.log.write(
        'ERROR',
        `[ERROR] An error occurred while retrieving information for the '${classType}' node: ${pythonErrorInfo(error).message}`,
      );
    }
  }
  const nan = context.faults.strike('nan', {}, (fault) => fault.in === 'object_info');
  if (nan !== undefined)
    out.set('SandboxUnbounded', { input: { required: { x: ['FLOAT', { max: pyFloat(Number.NaN) }] } } });
  return jsonAnswer(out);
}

async function one(request: RouteRequest, context: ServerContext): Promise<Answer> {
  const classType = request.params['node_class'] ?? '';
  const declaration = await declarationOf(classType, context);
  return jsonAnswer(declaration === undefined ? {} : { [classType]: declaration });
}

/** The routes. */
export function objectInfoRoutes(): Route[] {
  return [
    { method: 'GET', path: '/object_info', handler: all },
    { method: 'GET', path: '/object_info/:node_class', handler: one },
  ];
}
