#include "plastronctl.h"

int main(int count, char **arguments) { return plastronctl(count, arguments, stdout, stderr); }
