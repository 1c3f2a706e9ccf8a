/* ADFA-LD (Creech and Hu 2013): one file a trace of i386 call numbers; folders
 * Training_Data_Master, Validation_Data_Master (normal) and Attack_Data_Master/<class>_<run>. */
#pragma once

#include "features/traces.h"

/* Logs what is missing or malformed (file and place). -ENOENT, -EBADMSG, -ENOMEM, -errno. */
int adfa_load(const char *directory, struct traces **ret);
