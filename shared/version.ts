/** Version of this package and of the contract between client and worker. */

/** Version of the package. A test keeps it equal to package.json. */
export const packageVersion = '0.1.0';

/** Version of the job input, result envelope and progress shapes. Raised when an older reader would misread a newer writer. */
export const contractVersion = 1;
