// Draws ground and sky behind the splat, as one triangle over the whole picture: the twin of containers/splat/surroundings.py.
import {
    BlendState, BoundingBox, CULLFACE_NONE, DepthState, Entity, LAYERID_SKYBOX, Mesh, MeshInstance,
    SEMANTIC_POSITION, ShaderMaterial, Vec3
} from 'playcanvas';

// Rays are computed from the projection itself, independently of the camera's clipping planes and the picture's size.
const glsl = {
    vertex: `
        attribute vec3 vertex_position;
        uniform mat4 matrix_view;
        uniform mat4 matrix_projection;
        varying vec3 ray;
        void main(void) {
            vec3 local = vec3(
                (vertex_position.x + matrix_projection[2][0]) / matrix_projection[0][0],
                (vertex_position.y + matrix_projection[2][1]) / matrix_projection[1][1],
                -1.0
            );
            ray = local * mat3(matrix_view);
            gl_Position = vec4(vertex_position.xy, 0.5, 1.0);
        }`,
    fragment: `
        varying vec3 ray;
        uniform vec3 view_position;
        uniform vec3 groundColour;
        uniform vec3 horizon;
        uniform vec3 zenith;
        uniform float ground;
        uniform float haze;
        uniform vec2 shadeCentre;
        uniform vec4 shadeShape;
        void main(void) {
            vec3 direction = normalize(ray);
            float rise = direction.y;
            float away = abs(view_position.y - ground) / max(-rise, 1e-6);
            vec3 below = mix(groundColour, horizon, 1.0 - exp(-away / haze));
            vec2 place = view_position.xz + away * direction.xz - shadeCentre;
            float outward = length(mat2(shadeShape.xy, shadeShape.zw) * place);
            below *= view_position.y > ground ? mix(0.15, 1.0, smoothstep(0.7, 1.0, outward)) : 1.0;
            float left = 1.0 - clamp(rise, 0.0, 1.0);
            vec3 above = mix(horizon, zenith, 1.0 - left * left * left);
            gl_FragColor = vec4(rise < 0.0 ? below : above, 1.0);
        }`
};
const wgsl = {
    vertex: `
        attribute vertex_position: vec3f;
        uniform matrix_view: mat4x4f;
        uniform matrix_projection: mat4x4f;
        varying ray: vec3f;
        @vertex fn vertexMain(input: VertexInput) -> VertexOutput {
            var output: VertexOutput;
            let projection = uniform.matrix_projection;
            let local = vec3f(
                (input.vertex_position.x + projection[2][0]) / projection[0][0],
                (input.vertex_position.y + projection[2][1]) / projection[1][1],
                -1.0
            );
            let view = uniform.matrix_view;
            output.ray = local * mat3x3f(view[0].xyz, view[1].xyz, view[2].xyz);
            output.position = vec4f(input.vertex_position.xy, 0.5, 1.0);
            return output;
        }`,
    fragment: `
        varying ray: vec3f;
        uniform view_position: vec3f;
        uniform groundColour: vec3f;
        uniform horizon: vec3f;
        uniform zenith: vec3f;
        uniform ground: f32;
        uniform haze: f32;
        uniform shadeCentre: vec2f;
        uniform shadeShape: vec4f;
        @fragment fn fragmentMain(input: FragmentInput) -> FragmentOutput {
            var output: FragmentOutput;
            let direction = normalize(input.ray);
            let rise = direction.y;
            let away = abs(uniform.view_position.y - uniform.ground) / max(-rise, 1e-6);
            var below = mix(uniform.groundColour, uniform.horizon, 1.0 - exp(-away / uniform.haze));
            let place = uniform.view_position.xz + away * direction.xz - uniform.shadeCentre;
            let outward = length(mat2x2f(uniform.shadeShape.xy, uniform.shadeShape.zw) * place);
            let shade = mix(0.15, 1.0, smoothstep(0.7, 1.0, outward));
            below = below * select(1.0, shade, uniform.view_position.y > uniform.ground);
            let left = 1.0 - clamp(rise, 0.0, 1.0);
            let above = mix(uniform.horizon, uniform.zenith, 1.0 - left * left * left);
            output.color = vec4f(select(above, below, rise < 0.0), 1.0);
            return output;
        }`
};

// The skybox layer is drawn after opaque objects and before the splat, which blends over it.
export function drawSurroundings(app, surroundings) {
    const material = new ShaderMaterial({
        uniqueName: 'Surroundings',
        attributes: { vertex_position: SEMANTIC_POSITION },
        vertexGLSL: glsl.vertex,
        fragmentGLSL: glsl.fragment,
        vertexWGSL: wgsl.vertex,
        fragmentWGSL: wgsl.fragment
    });
    material.cull = CULLFACE_NONE;
    material.blendState = BlendState.NOBLEND;
    material.depthState = DepthState.NODEPTH;
    for (const name of ['groundColour', 'horizon', 'zenith', 'ground', 'haze', 'shadeCentre', 'shadeShape']) {
        material.setParameter(name, surroundings[name]);
    }
    material.update();
    const mesh = new Mesh(app.graphicsDevice);
    mesh.setPositions([-1, -1, 0, 3, -1, 0, -1, 3, 0]);
    mesh.setIndices([0, 1, 2]);
    mesh.update();
    const instance = new MeshInstance(mesh, material);
    instance.cull = false;
    instance.setCustomAabb(new BoundingBox(new Vec3(), new Vec3(1, 1, 1)));
    const entity = new Entity('surroundings', app);
    entity.addComponent('render', { meshInstances: [instance], layers: [LAYERID_SKYBOX], castShadows: false });
    app.root.addChild(entity);
}
