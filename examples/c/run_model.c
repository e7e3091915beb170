/* Runs a compiled model from C: float32 numbers on stdin, the model's output on stdout, one number per line.
 *
 * The model is named when this file is compiled; see README.md. It has one input and one output.
 */
#include <stdio.h>
#include <stdlib.h>

#ifndef MODEL
#define MODEL digits        /* prefix of the functions in the header */
#define HEADER "digits.h"
#define INPUT image         /* name of the input and of the output in the header */
#define OUTPUT digit
#endif

#include HEADER

#define JOIN_(a, b) a##_##b
#define JOIN(a, b) JOIN_(a, b)
#define ELEMENTS(tensor) JOIN(JOIN(MODEL, tensor), elements)

int main(void)
{
  /* Memory of any alignment will do; multiples of 64 bytes save a copy. */
  static _Alignas(64) float input[ELEMENTS(INPUT)];
  static _Alignas(64) float output[ELEMENTS(OUTPUT)];

  if (fread(input, sizeof *input, ELEMENTS(INPUT), stdin) != ELEMENTS(INPUT)) {
    fprintf(stderr, "expected %d float32 numbers on stdin\n", (int)ELEMENTS(INPUT));
    return EXIT_FAILURE;
  }
  MODEL *model = JOIN(MODEL, create)(0);   /* 0: all cores that this process may use */
  if (!model || JOIN(MODEL, run)(model, input, output) != 0) {
    fprintf(stderr, "%s\n", JOIN(MODEL, last_error)(model));
    JOIN(MODEL, destroy)(model);
    return EXIT_FAILURE;
  }
  for (int i = 0; i < ELEMENTS(OUTPUT); i++)
    printf("%.9g\n", output[i]);
  JOIN(MODEL, destroy)(model);
  return EXIT_SUCCESS;
}
