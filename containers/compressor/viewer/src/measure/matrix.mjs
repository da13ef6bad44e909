// Vectors of three numbers and symmetric 3 × 3 matrices.
export const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
export const minus = (a, b) => a.map((value, i) => value - b[i]);
export const times = (factor, a) => a.map((value) => factor * value);
export const plus = (a, b) => a.map((value, i) => value + b[i]);
export const cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
export const apply = (matrix, vector) => matrix.map((row) => dot(row, vector));

// Null if the determinant is not above `least` times the product of the diagonal.
export function inverse([a, b, c], least) {
    const columns = [cross(b, c), cross(c, a), cross(a, b)];
    const determinant = dot(a, columns[0]);
    if (!(determinant > least * a[0] * b[1] * c[2])) {
        return null;
    }
    return [0, 1, 2].map((row) => columns.map((column) => column[row] / determinant));
}
