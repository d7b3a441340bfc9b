// A typedoc plugin: shows the ops as functions and as methods of Tensor, which they are.
//
// The types say it differently. A recorded op is a constant that carries its record, `((x: Tensor) => Tensor) & Recorded`,
// and the methods come from a mapped type over the free functions, where typedoc finds no comments.
import {
  Converter,
  NamedTupleMember,
  ParameterReflection,
  ReferenceType,
  ReflectionFlag,
  ReflectionKind,
  ReflectionType,
  TupleType,
} from 'typedoc';

/** @param {import('typedoc').Application} app */
export function load(app) {
  app.converter.on(Converter.EVENT_CREATE_DECLARATION, (context, reflection) => {
    if (reflection.kind !== ReflectionKind.Variable) return;
    const symbol = context.getSymbolFromReflection(reflection);
    const type = symbol && context.checker.getTypeOfSymbol(symbol);
    if (!type?.isIntersection()) return;
    const call = type.types.find((part) => part.getCallSignatures().length > 0);
    if (call) reflection.type = context.converter.convertType(context.withScope(reflection), call);
  });

  app.converter.on(Converter.EVENT_RESOLVE_BEGIN, ({ project }) => {
    for (const constant of declarations(project, ReflectionKind.Variable))
      toSignatures(project, constant, ReflectionKind.Function);
    const documented = new Map(
      declarations(project, ReflectionKind.Function).map((fn) => [fn.name, fn.signatures ?? []]),
    );
    // The one function whose own name is a reserved word.
    documented.set('var', documented.get('variance') ?? []);
    for (const tensor of declarations(project, ReflectionKind.Class).filter(isTensor))
      for (const member of tensor.children ?? []) {
        if (member.kind === ReflectionKind.Property) toSignatures(project, member, ReflectionKind.Method);
        if (member.kind !== ReflectionKind.Method) continue;
        const functions = documented.get(member.name) ?? [];
        const signatures = member.signatures ?? [];
        signatures.forEach((signature, i) => {
          const fn = functions.at(i - signatures.length);
          signature.comment ??= fn?.comment?.clone();
          spreadRest(project, signature, fn?.parameters?.slice(1) ?? []);
        });
      }
  });
}

/**
 * @param {import('typedoc').ProjectReflection} project
 * @param {import('typedoc').ReflectionKind} kinds
 */
const declarations = (project, kinds) =>
  /** @type {import('typedoc').DeclarationReflection[]} */ (project.getReflectionsByKind(kinds));

/** @param {import('typedoc').DeclarationReflection} reflection */
const isTensor = ({ name, extendedTypes }) =>
  name === 'Tensor' || (extendedTypes ?? []).some((type) => type instanceof ReferenceType && type.name === 'Tensor');

/**
 * Turns a value of function type into a function or method.
 * @param {import('typedoc').ProjectReflection} project
 * @param {import('typedoc').DeclarationReflection} reflection
 * @param {import('typedoc').ReflectionKind} kind
 */
function toSignatures(project, reflection, kind) {
  if (!(reflection.type instanceof ReflectionType)) return;
  const literal = reflection.type.declaration;
  const { signatures } = literal;
  if (!signatures || literal.children) return;
  literal.signatures = undefined;
  project.removeReflection(literal);
  for (const signature of signatures) {
    signature.parent = reflection;
    signature.name = reflection.name;
    signature.comment ??= reflection.comment?.clone();
  }
  reflection.comment = undefined;
  reflection.type = undefined;
  reflection.signatures = signatures;
  reflection.kind = kind;
}

/**
 * Shows the parameters that a mapped type has as one tuple, `...rest: [dim: number]`.
 * @param {import('typedoc').ProjectReflection} project
 * @param {import('typedoc').SignatureReflection} signature
 * @param {import('typedoc').ParameterReflection[]} originals those of the function, which tell what may be left out
 */
function spreadRest(project, signature, originals) {
  const [rest] = signature.parameters ?? [];
  if (!(rest?.flags.isRest && rest.type instanceof TupleType)) return;
  const members = rest.type.elements.filter((element) => element instanceof NamedTupleMember);
  if (members.length !== rest.type.elements.length) return;
  signature.parameters = members.map(({ name, element, isOptional }, i) => {
    // What the types declare belongs to the first one.
    const parameter = i === 0 ? rest : new ParameterReflection(name, ReflectionKind.Parameter, signature);
    if (i > 0) project.registerReflection(parameter, undefined, undefined);
    parameter.name = name;
    parameter.type = element;
    parameter.setFlag(ReflectionFlag.Rest, false);
    parameter.setFlag(ReflectionFlag.Optional, isOptional || originals[i]?.defaultValue !== undefined);
    return parameter;
  });
  if (members.length === 0) {
    signature.parameters = undefined;
    project.removeReflection(rest);
  }
}
