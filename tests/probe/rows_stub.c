#include "probe.h"
void rows_attack(void){}
void rows_abort(void){}
