// What activations call, for float and float vectors alike; a file for CPUs brings its own (cpu_math.cl).
#ifndef SIGMOID
#define SIGMOID(v) (1.0f / (1.0f + exp(-(v))))
#endif
