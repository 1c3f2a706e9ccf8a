/* Argument hashes and their texts. */
#pragma once
